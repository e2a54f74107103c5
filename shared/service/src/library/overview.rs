//! The overview: the last days in numbers, as the sweeper counted them. One query; no source is read.

use crate::{app::Rekindle, boxed, problem::Problem};
use rekindle_domain::{
    day::{Day, Stock},
    prices::{self, MonthlyCost},
    time::{DAY_MILLIS, Time},
};

/// The last days in numbers.
#[derive(Clone, PartialEq, Debug)]
pub struct Overview {
    /// One after the other up to today, and none missing: of one that was not counted nothing is known.
    pub days: Vec<Day>,
    /// How much there was when it was last counted; `None`: it was not yet.
    pub stock: Option<Stock>,
    /// What its bytes cost a month, by the list prices of [`prices`].
    pub cost: MonthlyCost,
}

impl Rekindle {
    /// So many days up to today in numbers. See [`Day`] about what the figures count, and miss.
    ///
    /// # Errors
    /// 503.
    #[boxed]
    pub async fn overview(&self, days: usize) -> Result<Overview, Problem> {
        let today = self.now().day();
        let known = self.store.catalog.days(days).await?;
        let stock = known.iter().find_map(|day| day.stock.clone());
        let cost =
            stock.as_ref().map_or(prices::monthly(0, 0), |s| prices::monthly(s.hot_bytes, s.cold_bytes));
        let on = |day: Time| known.iter().find(|known| known.day == day).cloned().unwrap_or(Day::new(day));
        let days = (0..days as i64).rev().map(|ago| on(today.plus(-ago * DAY_MILLIS))).collect();
        Ok(Overview { days, stock, cost })
    }
}
