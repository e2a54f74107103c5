//! The interactions of the sample: who receives a wave of messages, and what they do with it. Drawn from numbers that look
//! random and are the same in every run.

use super::plan::Planned;
use crate::demo::mix;
use rekindle_domain::time::{DAY_MILLIS, Time};
use std::fmt::Write;

const FIRST: [&str; 40] = [
    "nora", "emil", "ada", "jonas", "mira", "theo", "lina", "oskar", "ida", "felix", "zoe", "hugo", "ines",
    "karim", "maja", "luca", "sana", "tariq", "wanda", "yusuf", "alba", "bruno", "celia", "dario", "elif",
    "farid", "greta", "hana", "ivo", "jana", "kofi", "leila", "milan", "nils", "olga", "pavel", "rosa",
    "samir", "tove", "vera",
];
const LAST: [&str; 50] = [
    "lindqvist",
    "baumann",
    "okafor",
    "silva",
    "novak",
    "haddad",
    "moreau",
    "jensen",
    "rossi",
    "kowalski",
    "tanaka",
    "ferrer",
    "ozturk",
    "larsen",
    "dubois",
    "schmidt",
    "petrov",
    "mensah",
    "nguyen",
    "costa",
    "weber",
    "horvat",
    "ibrahim",
    "keller",
    "laine",
    "marino",
    "nagy",
    "olsen",
    "pereira",
    "quist",
    "ruiz",
    "sato",
    "torres",
    "ullmann",
    "vidal",
    "wolff",
    "yilmaz",
    "zeman",
    "amari",
    "berg",
    "castro",
    "doyle",
    "engel",
    "fontaine",
    "graf",
    "hansen",
    "ito",
    "jovanovic",
    "kaya",
    "lund",
];
/// How many people there are: a prime, so that any stride meets everybody.
const PEOPLE: u64 = 23_993;
/// The links of a message; one stands for the button.
const ALIASES: [&str; 5] = ["cta", "cta", "cta", "hero", "footer"];

/// The id of a person: a mail address.
fn name(number: u64) -> String {
    let names = (FIRST.len() * LAST.len()) as u64;
    let (of, further) = (number % names, number / names);
    let (first, last) = (FIRST[(of % FIRST.len() as u64) as usize], LAST[(of / FIRST.len() as u64) as usize]);
    let further = if further == 0 { String::new() } else { (further + 1).to_string() };
    format!("{first}.{last}{further}@example.com")
}

/// A message to one person, and the dice that say what becomes of it.
struct Message<'a> {
    of: &'a Planned,
    user: String,
    channel: &'static str,
    at: Time,
    /// The same for each message to this person that belongs together.
    person: u64,
    dice: u64,
}

impl Message<'_> {
    /// Whether something happens that happens to so many of 10,000; `what` makes the throws independent.
    fn happens(&self, what: u64, of_10_000: u64) -> bool {
        mix(self.dice ^ (what << 56)) % 10_000 < of_10_000
    }

    fn add(&self, out: &mut String, kind: &str, minutes: u64, more: &str) -> usize {
        let (kind_of, id) = self.of.source.split_once('/').unwrap_or_default();
        let at = self.at.0 + (minutes * 60_000) as i64;
        let user = &self.user;
        let _ = writeln!(
            out,
            r#"{{"user_id":"{user}","{kind_of}_id":"{id}","type":"{kind}","time":{at}{more}}}"#
        );
        1
    }

    /// Writes all that comes of it. Returns how many interactions.
    fn write(&self, out: &mut String, wave: usize) -> usize {
        let channel = format!(r#","channel":"{}""#, self.channel);
        let add = |out: &mut String, kind: &str, minutes: u64, more: &str| {
            self.add(out, kind, minutes, &format!("{channel}{more}"))
        };
        let mut sum = self.enter(out, wave);
        if !self.of.steps.is_empty() && mix(self.person ^ 1).is_multiple_of(20) {
            return sum + self.add(out, "control", 0, "");
        }
        sum += add(out, "received", 1, &self.version(wave));
        let is_mail = self.channel == "email";
        if is_mail && self.happens(2, 170) {
            let bounce = if self.happens(3, 3_500) { "hard" } else { "soft" };
            return sum + add(out, "bounced", 2, &format!(r#","bounce":"{bounce}""#));
        }
        if matches!(self.channel, "sms" | "whatsapp" | "push") {
            sum += add(out, "delivered", 2, "");
        }
        if is_mail && self.happens(4, 1_300) {
            sum += add(out, "opened", 3, r#","machine":true"#);
        }
        if self.channel != "sms" && self.happens(5, 3_300) {
            sum += add(out, "opened", 20 + self.dice % 90, "");
            if self.happens(6, 2_600) {
                let alias = ALIASES[(self.dice >> 9) as usize % ALIASES.len()];
                sum += add(out, "clicked", 120, &format!(r#","link_alias":"{alias}""#));
                if self.happens(7, 2_400) {
                    let conversion = u8::from(self.happens(8, 2_500));
                    sum += self.add(out, "converted", 150, &format!(r#","conversion":{conversion}"#));
                }
            }
        } else if matches!(self.channel, "in_app" | "content_card" | "push") && self.happens(9, 1_200) {
            sum += add(out, "dismissed", 30, "");
        }
        if matches!(self.channel, "sms" | "whatsapp") && self.happens(10, 300) {
            sum += add(out, "replied", 25, "");
        }
        if is_mail && self.happens(11, 35) {
            sum += add(out, "unsubscribed", 160, "");
        } else if is_mail && self.happens(12, 6) {
            sum += add(out, "complained", 160, "");
        }
        sum
    }

    /// A Canvas is entered with its first step.
    fn enter(&self, out: &mut String, wave: usize) -> usize {
        if self.of.steps.is_empty() || wave > 0 {
            return 0;
        }
        let variation =
            self.choice(self.of.variants).map_or_else(String::new, |id| format!(r#","variation_id":"{id}""#));
        self.add(out, "entered", 0, &variation)
    }

    fn choice(&self, among: &[(&'static str, &str)]) -> Option<&'static str> {
        let number = (mix(self.person ^ 2) % among.len().max(1) as u64) as usize;
        among.get(number).map(|(id, _)| *id)
    }

    /// The variant of a message of a campaign, or the variation and the step of a Canvas's.
    fn version(&self, wave: usize) -> String {
        let is_canvas = !self.of.steps.is_empty();
        let field = if is_canvas { "variation_id" } else { "variant_id" };
        let variant = self.choice(self.of.variants).map(|id| format!(r#","{field}":"{id}""#));
        let step = self
            .of
            .steps
            .get(wave % self.of.steps.len().max(1))
            .map(|(id, _)| format!(r#","step_id":"{id}""#));
        [variant, step].into_iter().flatten().collect()
    }
}

/// Writes the interactions of one wave, a line each, in the day before `now`. Returns how many.
pub(super) fn write_wave(out: &mut String, of: &Planned, wave: usize, now: Time) -> usize {
    let source = of.source.bytes().fold(7, |hash, byte| mix(hash ^ u64::from(byte)));
    // Each wave of a Canvas goes to the same people, one step after the other; one of a campaign to others.
    let round = if of.steps.is_empty() { wave } else { wave / of.steps.len() };
    let (offset, stride) = (mix(source + round as u64) % PEOPLE, 1 + source % (PEOPLE - 1));
    let one = |i: u64| {
        let number = (offset + i * stride) % PEOPLE;
        let person = mix(source ^ mix(number ^ (round as u64) << 32));
        let ago = DAY_MILLIS - (mix(person ^ 3) % (DAY_MILLIS as u64 * 4 / 5)) as i64;
        let channel = of.channels[(mix(person ^ 4) % of.channels.len() as u64) as usize];
        let dice = mix(person ^ mix(wave as u64));
        Message { of, user: name(number), channel, at: now.plus(-ago), person, dice }
    };
    (0..u64::from(of.reach)).map(|i| one(i).write(out, wave)).sum()
}
