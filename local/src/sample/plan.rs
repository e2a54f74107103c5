//! The sample's campaigns and Canvases, by name: whom they reach, how, when, and how they end. Days count back from the end of
//! the sample, which is the present: day 0.

use rekindle_domain::time::{DAY_MILLIS, Period, Time};

/// A campaign or a Canvas of the sample.
pub(super) struct Planned {
    /// `campaign/ID` or `canvas/ID`.
    pub(super) source: &'static str,
    pub(super) name: &'static str,
    pub(super) tags: &'static [&'static str],
    /// The channels, of which each user is reached by one.
    pub(super) channels: &'static [&'static str],
    /// A campaign's variants, or a Canvas's variations: id and name.
    pub(super) variants: &'static [(&'static str, &'static str)],
    /// A Canvas's steps. Each wave is the next one.
    pub(super) steps: &'static [(&'static str, &'static str)],
    /// How many users one wave reaches.
    pub(super) reach: u32,
    /// How many times it sends, and how many days lie between.
    pub(super) waves: (i64, i64),
    pub(super) end: End,
    /// The addresses that get the mails about its data.
    pub(super) notify: &'static [&'static str],
}

/// The last that happens to a source.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// It is registered on that day and not started.
    Draft(i64),
    /// It still sends.
    Active,
    /// It was stopped, so that its data expires in that many days, or has expired as many days ago if it is less than 0, unless
    /// something keeps it.
    Expires(i64),
}

use End::{Active, Draft, Expires};

const fn source(source: &'static str, name: &'static str, reach: u32, end: End) -> Planned {
    Planned {
        source,
        name,
        tags: &[],
        channels: &["email"],
        variants: &[],
        steps: &[],
        reach,
        waves: (1, 1),
        end,
        notify: &[],
    }
}

const fn promo(id: &'static str, name: &'static str, reach: u32, end: End) -> Planned {
    source(id, name, reach, end).tags(&["promo"])
}

impl Planned {
    const fn tags(self, tags: &'static [&'static str]) -> Self {
        Self { tags, ..self }
    }

    const fn over(self, channels: &'static [&'static str]) -> Self {
        Self { channels, ..self }
    }

    const fn variants(self, variants: &'static [(&'static str, &'static str)]) -> Self {
        Self { variants, ..self }
    }

    const fn steps(self, steps: &'static [(&'static str, &'static str)]) -> Self {
        Self { steps, ..self }
    }

    const fn waves(self, count: i64, days: i64) -> Self {
        Self { waves: (count, days), ..self }
    }

    const fn notify(self, notify: &'static [&'static str]) -> Self {
        Self { notify, ..self }
    }

    /// The day of its stop; `None` if it is not stopped. `end` is the sample's end.
    pub(super) fn stops(&self, retention: &Period, end: Time) -> Option<i64> {
        let Expires(in_days) = self.end else { return None };
        let wanted = end.plus(in_days * DAY_MILLIS);
        let ends_in_time =
            |day: &i64| retention.after(end.plus(-day * DAY_MILLIS)).is_some_and(|at| at <= wanted);
        (0..DAYS).find(ends_in_time)
    }

    /// The day of its last wave: some days before its stop.
    fn last_wave(&self, stops: Option<i64>) -> Option<i64> {
        match self.end {
            Draft(_) => None,
            // Not all of them send on the same day.
            Active => Some(self.name.len() as i64 % self.waves.1),
            Expires(_) => stops.map(|day| day + 2),
        }
    }

    /// The days of its waves, the first one first; none of a draft.
    pub(super) fn wave_days(&self, stops: Option<i64>) -> Vec<i64> {
        let (count, apart) = self.waves;
        let last = self.last_wave(stops);
        last.map_or_else(Vec::new, |last| (0..count).rev().map(|wave| last + wave * apart).collect())
    }
}

/// How many days the sample lasts.
pub(super) const DAYS: i64 = 245;

const AB: &[(&str, &str)] = &[("A", "Short subject"), ("B", "Long subject")];
const ABC: &[(&str, &str)] = &[("A", "Photo"), ("B", "Drawing"), ("C", "Text alone")];
const EMAIL_PUSH: &[&str] = &["email", "push"];

/// The campaigns that are found by the tag `promo`.
static PROMO: [Planned; 18] = [
    promo("campaign/lucky-socks", "Lucky socks weekend", 6_200, Expires(-4))
        .variants(AB)
        .notify(&["mira@example.com"]),
    promo("campaign/candles-two-for-one", "Two for one: candles", 5_400, Expires(-9)).variants(ABC),
    promo("campaign/flash-48", "48-hour flash sale", 4_800, Expires(-13)).over(&["sms", "push"]),
    promo("campaign/free-shipping", "Free shipping weekend", 7_100, Expires(-17))
        .over(EMAIL_PUSH)
        .variants(AB),
    promo("campaign/members-night", "Members’ night", 5_000, Expires(-22)).notify(&["jonas@example.com"]),
    promo("campaign/bundle-and-save", "Bundle and save", 6_600, Expires(-28)).variants(AB),
    promo("campaign/last-pairs", "Clearance: last pairs", 8_200, Expires(-35)).over(EMAIL_PUSH).waves(2, 4),
    promo("campaign/coffee-first-month", "Coffee club: first month free", 5_200, Expires(-41)).variants(ABC),
    promo("campaign/bring-a-friend", "Bring a friend, both get 10", 4_900, Expires(-48))
        .over(&["email", "in_app"]),
    promo("campaign/blue-tags", "Blue tag days", 5_800, Expires(-55))
        .over(&["email", "whatsapp"])
        .variants(AB),
    promo("campaign/kite-2", "Sneaker drop: Kite 2", 6_900, Expires(-63))
        .over(&["push", "in_app"])
        .variants(AB),
    promo("campaign/old-tent", "Trade in your old tent", 4_700, Expires(-70)),
    promo("campaign/gift-cards", "Gift cards plus 10 %", 5_600, Expires(-78)).variants(AB),
    promo("campaign/soldes", "Soldes d’été ☀️", 5_100, Expires(-90)).over(EMAIL_PUSH).variants(ABC),
    promo("campaign/rucksack-restock", "Rucksacks are back", 6_000, Expires(5))
        .variants(AB)
        .notify(&["mira@example.com"]),
    promo("campaign/tent-quiz", "Quiz: which tent are you?", 5_300, Expires(6))
        .over(&["in_app", "content_card"])
        .notify(&["jonas@example.com"]),
    promo("campaign/rain-check", "Rain check: jackets", 5_500, Expires(18)).variants(AB),
    promo("campaign/blanket-fort", "Blanket fort week", 6_300, Active).variants(AB).waves(3, 9),
];

/// The other campaigns.
static CAMPAIGNS: [Planned; 19] = [
    source("campaign/order-survey", "Survey: how was your order?", 4_600, Expires(-20)).tags(&["survey"]),
    source("campaign/harbour-street", "We open on Harbour Street", 5_900, Expires(-33))
        .tags(&["news", "Port City"])
        .over(EMAIL_PUSH),
    source("campaign/app-5", "App 5: all that is new", 5_200, Expires(-52))
        .tags(&["news"])
        .over(&["in_app", "push"]),
    source("campaign/catalogue-12", "Catalogue no. 12", 4_500, Expires(-60))
        .tags(&["catalogue"])
        .notify(&["print@example.com"]),
    source("campaign/points-statement", "Points statement", 5_700, Expires(-45))
        .tags(&["loyalty"])
        .notify(&["jonas@example.com"]),
    source("campaign/linen", "New arrivals: linen", 6_800, Expires(-40))
        .tags(&["home", "linen"])
        .variants(ABC),
    source("campaign/tasting-evening", "Tasting evening", 4_400, Expires(-25)).tags(&["events"]),
    source("campaign/price-change", "Notice: prices change", 7_300, Expires(-50))
        .tags(&["legal"])
        .over(&["email", "sms"]),
    source("campaign/holiday-hours", "Opening hours over the holidays", 4_600, Expires(-15))
        .tags(&["news"])
        .over(EMAIL_PUSH),
    source("campaign/size-guide", "The size guide", 4_300, Expires(10)).tags(&["service"]),
    source("campaign/repair-day", "Repair day", 4_500, Expires(33))
        .tags(&["events", "service"])
        .over(&["email", "whatsapp"]),
    source("campaign/weekly-letter", "The weekly letter", 1_500, Active)
        .tags(&["newsletter"])
        .variants(AB)
        .waves(26, 7),
    source("campaign/order-shipped", "Your order is on its way", 700, Active)
        .tags(&["transactional"])
        .over(&["email", "push", "sms", "webhook"])
        .waves(40, 5),
    source("campaign/linen-again", "Linen: the second wave", 2_900, Active)
        .tags(&["home", "linen"])
        .variants(AB)
        .waves(5, 11),
    source("campaign/price-alert", "Price alert", 600, Active)
        .tags(&["transactional"])
        .over(&["push", "in_app", "line"])
        .waves(24, 6),
    source("campaign/review-request", "Tell us how it fits", 900, Active)
        .tags(&["service"])
        .over(&["email", "whatsapp"])
        .waves(18, 8),
    source("campaign/kite-3", "Sneaker drop: Kite 3", 0, Draft(3))
        .tags(&["promo"])
        .variants(AB)
        .over(&["push", "in_app"]),
    source("campaign/wool-preview", "Preview: wool", 0, Draft(6)).tags(&["home"]).variants(ABC),
    source("campaign/thank-you", "A thank-you note", 0, Draft(1)),
];

const VARIATIONS: &[(&str, &str)] = &[("main", "As written"), ("short", "One message less")];

/// The Canvases.
static CANVASES: [Planned; 9] = [
    source("canvas/onboarding-1", "Onboarding, first edition", 3_100, Expires(-30))
        .tags(&["lifecycle"])
        .over(EMAIL_PUSH)
        .waves(3, 6)
        .variants(VARIATIONS)
        .steps(&[("hello", "Hello"), ("tour", "A tour of the shop"), ("first-order", "The first order")]),
    source("canvas/cart-old", "Left in the cart, old flow", 2_600, Expires(-66))
        .tags(&["lifecycle"])
        .waves(2, 3)
        .variants(VARIATIONS)
        .steps(&[("reminder", "Reminder"), ("last-call", "Last call")]),
    source("canvas/spring-journey", "Spring journey", 3_000, Expires(-38))
        .tags(&["seasonal"])
        .waves(3, 7)
        .variants(VARIATIONS)
        .steps(&[("seeds", "Seeds"), ("tools", "Tools"), ("harvest", "Harvest")]),
    source("canvas/loyalty-levels", "Loyalty levels explained", 2_800, Expires(14))
        .tags(&["loyalty"])
        .over(EMAIL_PUSH)
        .waves(2, 7)
        .steps(&[("levels", "The levels"), ("yours", "Your level")]),
    source("canvas/welcome", "Welcome", 900, Active)
        .tags(&["lifecycle"])
        .over(EMAIL_PUSH)
        .waves(27, 7)
        .variants(VARIATIONS)
        .steps(&[("hello", "Hello"), ("tour", "A tour of the shop"), ("first-order", "The first order")]),
    source("canvas/cart", "Left in the cart", 800, Active)
        .tags(&["lifecycle"])
        .over(&["email", "push", "in_app"])
        .waves(30, 4)
        .variants(VARIATIONS)
        .steps(&[("reminder", "Reminder"), ("help", "Can we help?"), ("last-call", "Last call")]),
    source("canvas/win-back", "Come back to us", 1_700, Active)
        .tags(&["lifecycle", "loyalty"])
        .waves(6, 9)
        .variants(VARIATIONS)
        .steps(&[("missed", "We missed you"), ("gift", "A small gift")]),
    source("canvas/host-a-tasting", "Host your own tasting", 1_300, Active)
        .tags(&["events"])
        .waves(5, 8)
        .steps(&[("invite", "The invitation"), ("recipe", "A recipe")]),
    source("canvas/second-order", "The second order", 0, Draft(9))
        .tags(&["lifecycle"])
        .variants(VARIATIONS)
        .steps(&[("thanks", "Thanks"), ("idea", "An idea")]),
];

/// All of them.
pub(super) fn planned() -> impl Iterator<Item = &'static Planned> {
    PROMO.iter().chain(&CAMPAIGNS).chain(&CANVASES)
}
