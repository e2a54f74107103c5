//! One condition of the builder: what users did, with which messages, and when.

use super::{
    draft::{Leaf, Place},
    fields::prefix,
    kinds::{KINDS, Part, SEGMENT, Way},
    pieces::{ADDRESS, Shown, remove, title, why},
    spelling::{UNITS, local, period},
    state::element,
};
use crate::words;
use maud::{Markup, html};
use rekindle_domain::{facet::Channel, id::SourceId, source::Variant};
use rekindle_service::library::{ShownState, SourceView};

/// The fields of one condition, with their names and ids.
struct Card<'a> {
    shown: &'a Shown<'a>,
    leaf: &'a Leaf,
    place: &'a Place,
}

pub(super) fn condition(shown: &Shown<'_>, leaf: &Leaf, place: &Place) -> Markup {
    let card = Card { shown, leaf, place };
    html! {
        section .condition #(element(place, "part")) aria-label=(title("Condition", place)) {
            (card.verb())
            @if !leaf.kind.mind.is_empty() { p .hint { (leaf.kind.mind) } }
            @if leaf.kind.key == SEGMENT { div .fields { (card.segment()) } }
            @if leaf.way().is_some() { div .fields { (card.about()) } }
            @if has_details(leaf) { div .fields { (card.details()) } }
            @if leaf.has(Part::Times) { (card.times()) }
            (why(place, shown.trouble, false))
        }
    }
}

fn has_details(leaf: &Leaf) -> bool {
    leaf.kind.parts.iter().any(|part| *part != Part::Times && leaf.has(*part))
}

impl Card<'_> {
    fn name(&self, field: &str) -> String {
        format!("{}.{field}", prefix(self.place))
    }

    fn id(&self, field: &str) -> String {
        element(self.place, field)
    }

    fn goes_on(&self, field: &str) -> bool {
        self.shown.goes_on(&self.id(field))
    }

    /// Whether the users did it, and what they did.
    fn verb(&self) -> Markup {
        let leaf = self.leaf;
        let mut groups: Vec<&str> = KINDS.iter().map(|kind| kind.group).collect();
        groups.dedup();
        html! {
            div .line {
                select .live .short name=(self.name("not")) aria-label=(title("Whether it holds, condition", self.place)) {
                    option value="" { "Users who" }
                    option value="not" selected[leaf.is_negated] { "Everyone but users who" }
                }
                select id=(self.id("kind")) name=(self.name("kind")) hx-post=(ADDRESS) aria-label=(title("What users did, condition", self.place)) autofocus[self.goes_on("kind")] {
                    @for group in groups {
                        optgroup label=(group) {
                            @for kind in KINDS.iter().filter(|kind| kind.group == group) {
                                option value=(kind.key) selected[kind.key == leaf.kind.key] { (kind.says) }
                            }
                        }
                    }
                }
                (remove(self.place, "condition"))
            }
        }
    }

    fn segment(&self) -> Markup {
        let chosen = self.leaf.text(SEGMENT);
        let segments = &self.shown.known.segments;
        let options = segments.iter().map(|(id, name)| (id.as_str(), name.as_str()));
        html! {
            div .field {
                label for=(self.id(SEGMENT)) { "Segment" }
                (self.choice(SEGMENT, "Choose a segment", options, chosen))
                @if !chosen.is_empty() { p .id { a href=(format!("/console/segments/{chosen}")) { "Open this segment" } } }
            }
        }
    }

    /// Whose messages it is about.
    fn about(&self) -> Markup {
        let leaf = self.leaf;
        html! {
            @if leaf.kind.ways.len() > 1 {
                div .field {
                    label for=(self.id("of")) { "Messages" }
                    select id=(self.id("of")) name=(self.name("of")) hx-post=(ADDRESS) {
                        @for way in leaf.kind.ways {
                            option value=(way.name()) selected[Some(*way) == leaf.way()] { (way.says()) }
                        }
                    }
                }
            }
            @match leaf.way() {
                Some(Way::Source) => { (self.source()) }
                Some(Way::Tag) => {
                    div .field {
                        label for=(self.id("tag")) { "Tag" }
                        input .live id=(self.id("tag")) name=(self.name("tag")) value=(leaf.text("tag")) list=(self.id("tags")) dir="auto" autocomplete="off";
                        datalist id=(self.id("tags")) { @for tag in &self.shown.known.tags { option value=(tag) {} } }
                        p .hint { "Everything that carries the tag at the time of the question." }
                    }
                }
                _ => {}
            }
        }
    }

    /// The source that was chosen, or the search for one.
    fn source(&self) -> Markup {
        let source = self.leaf.text("source");
        html! {
            div .field .wide {
                @if source.is_empty() {
                    (self.search())
                } @else {
                    span .label { "Campaign or Canvas" }
                    input type="hidden" name=(self.name("source")) value=(source);
                    div .chosen {
                        @match self.view() {
                            Some(view) => { (named(view)) }
                            None => { span .name dir="auto" { (source) } " " span .id { "not registered" } }
                        }
                        button id=(self.id("change")) name="act" value=(format!("change {}", prefix(self.place))) hx-post=(ADDRESS) aria-label=(title("Change the campaign or Canvas, condition", self.place)) autofocus[self.goes_on("change")] { "Change" }
                    }
                }
            }
        }
    }

    fn search(&self) -> Markup {
        let (q, found) = (self.leaf.text("q"), self.id("found"));
        let views = self.shown.known.found.get(q);
        let entered = |view: &&SourceView| self.leaf.kind.key != "entered" || view.variations.is_some();
        let views = views.map(|views| views.iter().filter(entered).collect::<Vec<_>>());
        html! {
            label for=(self.id("q")) { "Campaign or Canvas" }
            div .line {
                input type="search" id=(self.id("q")) name=(self.name("q")) value=(q) placeholder="Words in the name or id" dir="auto" autocomplete="off"
                    hx-post=(ADDRESS) hx-trigger="input delay:250ms" hx-target=(format!("#{found}")) hx-select=(format!("#{found}")) hx-sync="this:replace" autofocus[self.goes_on("q")];
                button name="act" value="look" hx-post=(ADDRESS) { "Search" }
            }
            div id=(found) .found role="status" {
                @match views.as_deref() {
                    None => {}
                    Some([]) => { p .hint { "Nothing has these words in its name or id." } }
                    Some(views) => {
                        ul {
                            @for view in views {
                                li { button name="act" value=(format!("pick {} {}", prefix(self.place), view.source)) hx-post=(ADDRESS) { (named(view)) } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn view(&self) -> Option<&SourceView> {
        let id: SourceId = self.leaf.text("source").parse().ok()?;
        self.shown.known.sources.get(&id)
    }

    fn details(&self) -> Markup {
        html! {
            @for part in self.leaf.kind.parts.iter().filter(|part| self.leaf.has(**part)) {
                (self.detail(*part))
            }
        }
    }

    fn detail(&self, part: Part) -> Markup {
        let view = self.view();
        let whose = |any: &'static str, people: &'static str, machines: &'static str| {
            [("", any), ("human", people), ("machine", machines)]
        };
        match part {
            Part::Variant => {
                let variants = view.and_then(|view| view.variants.as_ref().or(view.variations.as_ref()));
                let label = if self.leaf.is_of_canvas() { "Variation" } else { "Variant" };
                self.declared("variant", label, variants)
            }
            Part::Step => self.declared("step", "Step", view.and_then(|view| view.steps.as_ref())),
            Part::Channel => {
                let channels = Channel::ALL.map(|channel| (channel.as_str(), words_of(channel)));
                self.chosen("channel", "Channel", "Any channel", channels)
            }
            Part::Opens => {
                self.of("opens", "Opens", whose("By people and machines", "By people", "By machines"))
            }
            Part::Clicks => {
                self.of("clicks", "Clicks", whose("By people and machines", "By people", "By machines"))
            }
            Part::Bounce => {
                self.of("bounce", "Bounce", [("", "Hard or soft"), ("hard", "Hard"), ("soft", "Soft")])
            }
            Part::Is => self.of(
                "is",
                "Control group",
                [("yes", "In the control group"), ("no", "Got it, outside of the control group"), ("", "")],
            ),
            Part::Ever => self.of(
                "ever",
                "Counts",
                [
                    ("", "Conversions that a later message did not undo"),
                    ("yes", "Conversions at any time"),
                    ("", ""),
                ],
            ),
            Part::Alias => self.typed("alias", "Link alias", "Any link"),
            Part::Conversion => html! {
                div .field {
                    label for=(self.id("conversion")) { "Conversion" }
                    input .live type="number" min="0" max="255" id=(self.id("conversion")) name=(self.name("conversion")) value=(self.leaf.text("conversion")) placeholder="0, the primary one";
                }
            },
            Part::Times => html! {},
        }
    }

    /// A list with three ways at most; an entry without words is none.
    fn of(&self, field: &str, label: &str, ways: [(&'static str, &'static str); 3]) -> Markup {
        html! {
            div .field {
                label for=(self.id(field)) { (label) }
                select .live id=(self.id(field)) name=(self.name(field)) {
                    @for (value, words) in ways.iter().filter(|(_, words)| !words.is_empty()) {
                        option value=(value) selected[*value == self.leaf.text(field)] { (words) }
                    }
                }
            }
        }
    }

    fn chosen<'b>(
        &'b self,
        field: &str,
        label: &str,
        any: &str,
        options: impl IntoIterator<Item = (&'b str, &'b str)>,
    ) -> Markup {
        html! {
            div .field {
                label for=(self.id(field)) { (label) }
                (self.choice(field, any, options, self.leaf.text(field)))
            }
        }
    }

    /// A list of ids with their names. What is chosen stands in it in any case.
    fn choice<'b>(
        &'b self,
        field: &str,
        any: &str,
        options: impl IntoIterator<Item = (&'b str, &'b str)>,
        chosen: &'b str,
    ) -> Markup {
        let mut options: Vec<(&str, &str)> = options.into_iter().collect();
        if !chosen.is_empty() && options.iter().all(|(id, _)| *id != chosen) {
            options.push((chosen, chosen));
        }
        html! {
            select .live id=(self.id(field)) name=(self.name(field)) dir="auto" {
                option value="" { (any) }
                @for (id, name) in options {
                    option value=(id) selected[id == chosen] { @if name.is_empty() { (id) } @else { (name) } }
                }
            }
        }
    }

    /// A variant or a step: a list where the source declares some, and otherwise a text.
    fn declared(&self, field: &str, label: &str, declared: Option<&Vec<Variant>>) -> Markup {
        match declared.filter(|declared| !declared.is_empty()) {
            Some(declared) => {
                let options = declared.iter().map(|variant| (variant.id.as_str(), variant.name.as_str()));
                self.chosen(field, label, "Any", options)
            }
            None => self.typed(field, label, "Any"),
        }
    }

    fn typed(&self, field: &str, label: &str, any: &str) -> Markup {
        html! {
            div .field {
                label for=(self.id(field)) { (label) }
                input .live id=(self.id(field)) name=(self.name(field)) value=(self.leaf.text(field)) placeholder=(any) dir="auto" autocomplete="off" spellcheck="false";
            }
        }
    }

    fn times(&self) -> Markup {
        let (after, before) = (self.leaf.text("after"), self.leaf.text("before"));
        let (less, more) = (self.leaf.text("less_than"), self.leaf.text("more_than"));
        let is_open = self.leaf.kind.key.starts_with("last_")
            || [after, before, less, more].iter().any(|time| !time.is_empty());
        html! {
            details open[is_open] {
                summary { "When" }
                @if !self.leaf.kind.key.starts_with("last_") { p .hint { "The latest time counts. Leave all four empty for any time." } }
                div .fields {
                    (self.moment("after", "At this time or later, UTC", after))
                    (self.moment("before", "Before, UTC", before))
                    (self.ago("less_than", "Within the last", less))
                    (self.ago("more_than", "Longer ago than", more))
                }
            }
        }
    }

    fn moment(&self, field: &str, label: &str, time: &str) -> Markup {
        let local = local(time);
        let step = match local.map_or(0, str::len) {
            23 => Some("0.001"),
            19 => Some("1"),
            _ => None,
        };
        let is_local = time.is_empty() || local.is_some();
        html! {
            div .field {
                label for=(self.id(field)) { (label) }
                input .live type=(if is_local { "datetime-local" } else { "text" }) step=[step] id=(self.id(field)) name=(self.name(field)) value=(local.unwrap_or(time));
            }
        }
    }

    fn ago(&self, field: &str, label: &str, text: &str) -> Markup {
        let (number, unit) = period(text);
        let unit_name = format!("{field}.unit");
        let kind = if unit == "iso" { "text" } else { "number" };
        html! {
            div .field {
                label for=(self.id(field)) { (label) }
                div .line {
                    input .live type=(kind) min="1" id=(self.id(field)) name=(self.name(field)) value=(number);
                    select .live .short name=(self.name(&unit_name)) aria-label=(format!("{label}: unit")) {
                        @for (name, ..) in UNITS { option value=(name) selected[name == unit] { (name) } }
                        @if unit == "iso" { option value="iso" selected { "as ISO 8601" } }
                    }
                }
            }
        }
    }
}

/// A source with its kind and, where it matters, the state of its data.
fn named(view: &SourceView) -> Markup {
    let state = words::state(view);
    let is_away = view.interaction_data.state != ShownState::Available;
    html! {
        span .name dir="auto" { (view.name) } " "
        span .id { (words::kind_name(view.source.kind())) @if view.name != view.source.id() { " " (view.source.id()) } } " "
        @if is_away { span .state data-state=(state) { (state) } }
    }
}

const fn words_of(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "Email",
        Channel::Push => "Push",
        Channel::Sms => "SMS",
        Channel::Whatsapp => "WhatsApp",
        Channel::Webhook => "Webhook",
        Channel::InApp => "In-app message",
        Channel::ContentCard => "Content card",
        Channel::Banner => "Banner",
        Channel::Line => "LINE",
        Channel::Rcs => "RCS",
    }
}
