//! One interaction as it stands in a request, and the checks that it has to pass.

use super::{EARLIEST, MAX_AHEAD_MILLIS, Refusal, check_user_id, mend::LOST, refuse, stored_alias};
use crate::{
    facet::{Channel, Kind, encode_facet},
    id::{SourceKind, clip, id_refusal, is_valid_id},
    time::Time,
};
use serde::{Deserialize, de};
use std::{borrow::Cow, fmt};

/// Text that borrows from the request where it can.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: de::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> de::Visitor<'de> for V {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(v.to_owned())))
            }
        }
        d.deserialize_str(V)
    }
}

/// An optional text. Null and the empty text, which templates send where they have nothing, leave it out.
fn given<'de: 'a, 'a, D: de::Deserializer<'de>>(d: D) -> Result<Option<Text<'a>>, D::Error> {
    Ok(Option::<Text<'a>>::deserialize(d)?.filter(|text| !text.0.is_empty()))
}

/// One interaction as it stands in a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire<'a> {
    #[serde(borrow)]
    pub(super) user_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "given")]
    campaign_id: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "given")]
    canvas_id: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default, deserialize_with = "given")]
    channel: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "given")]
    variant_id: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "given")]
    variation_id: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "given")]
    step_id: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "given")]
    link_alias: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "given")]
    bounce: Option<Text<'a>>,
    #[serde(default)]
    machine: Option<bool>,
    #[serde(default)]
    conversion: Option<u8>,
    #[serde(default)]
    time: Option<Time>,
}

/// The types that are about a person, and so need neither a campaign nor a Canvas.
const PERSONAL: [&str; 5] = ["bounced", "complained", "not_spam", "unsubscribed", "subscribed"];

/// The types of interactions, for people.
pub(super) const TYPES: &str = "received, delivered, opened, clicked, dismissed, replied, converted, entered, control, bounced, \
    complained, not_spam, unsubscribed, subscribed";

fn check_id(field: &str, code: &'static str, id: &str) -> Result<(), Refusal> {
    if is_valid_id(id) {
        return Ok(());
    }
    refuse(code, format!("{field} {}", id_refusal(id)))
}

/// What a check finds out besides the facet.
pub(super) struct Checked {
    /// The interaction's time.
    pub(super) at: Time,
    /// Whether its alias is stored in another form than it was sent in.
    pub(super) is_alias_shortened: bool,
}

impl Wire<'_> {
    /// Checks the interaction, and writes the canonical encoding of its facet to `facet`.
    pub(super) fn check(&self, now: Time, facet: &mut Vec<u8>) -> Result<Checked, Refusal> {
        check_user_id(&self.user_id.0).map_err(|d| ("invalid_user_id".into(), format!("user_id {d}")))?;
        let source = self.source()?;
        match source {
            Some((SourceKind::Campaign, id)) => check_id("campaign_id", "invalid_campaign_id", id)?,
            Some((SourceKind::Canvas, id)) => check_id("canvas_id", "invalid_canvas_id", id)?,
            None => {}
        }
        let kind = self.kind()?;
        let channel = match &self.channel {
            Some(name) => match Channel::from_name(&name.0) {
                Some(channel) => Some(channel),
                None => {
                    let detail = format!("channel `{}` must be one of {}", clip(&name.0), Channel::names());
                    return refuse("invalid_channel", detail);
                }
            },
            None if kind.needs_channel() => {
                let detail = format!("{} needs a channel, one of {}", self.kind.0, Channel::names());
                return refuse("missing_channel", detail);
            }
            None => None,
        };
        for (field, code, id) in [
            ("variant_id", "invalid_variant_id", &self.variant_id),
            ("variation_id", "invalid_variation_id", &self.variation_id),
            ("step_id", "invalid_step_id", &self.step_id),
        ] {
            if let Some(id) = id {
                check_id(field, code, &id.0)?;
            }
        }
        self.check_fields_fit(kind)?;
        self.check_source_fits(source.map(|(kind, _)| kind), kind)?;
        let at = self.time.unwrap_or(now);
        if at < EARLIEST || at > now.plus(MAX_AHEAD_MILLIS) {
            let latest = now.plus(MAX_AHEAD_MILLIS);
            return refuse(
                "invalid_time",
                format!("time must be between {EARLIEST} and {latest} (24 h ahead)"),
            );
        }
        facet.clear();
        // Encoded without making a `Facet`: most interactions have a facet that others had before.
        let head = (kind, channel, self.machine.unwrap_or(false), self.conversion.unwrap_or(0));
        let variant = self.variant_id.as_ref().or(self.variation_id.as_ref());
        let [variant, step] = [variant, self.step_id.as_ref()].map(|text| text.map(|t| t.0.as_ref()));
        let alias = self.link_alias.as_ref().map(|alias| stored_alias(&alias.0));
        encode_facet(head, [variant, step, alias.as_deref()], facet);
        Ok(Checked { at, is_alias_shortened: matches!(alias, Some(Cow::Owned(_))) })
    }

    /// Whether its alias has a place that could not be read.
    pub(super) fn has_lost_alias(&self) -> bool {
        self.link_alias.as_ref().is_some_and(|alias| alias.0.contains(LOST))
    }

    /// The campaign or the Canvas that it names, by id; `None` for one about the person alone.
    pub(super) fn source(&self) -> Result<Option<(SourceKind, &str)>, Refusal> {
        match (&self.campaign_id, &self.canvas_id) {
            (Some(id), None) => Ok(Some((SourceKind::Campaign, id.0.as_ref()))),
            (None, Some(id)) => Ok(Some((SourceKind::Canvas, id.0.as_ref()))),
            (None, None) if PERSONAL.contains(&self.kind.0.as_ref()) => Ok(None),
            (None, None) => refuse(
                "missing_field",
                format!(
                    "campaign_id or canvas_id is missing; send one of them. Only {} may have neither",
                    PERSONAL.join(", ")
                ),
            ),
            (Some(_), Some(_)) => refuse(
                "two_sources",
                "campaign_id and canvas_id exclude each other; send one interaction for the campaign and another for the Canvas",
            ),
        }
    }

    fn kind(&self) -> Result<Kind, Refusal> {
        Ok(match self.kind.0.as_ref() {
            "received" => Kind::Received,
            "opened" => Kind::Opened,
            "clicked" => Kind::Clicked,
            "converted" => Kind::Converted,
            "entered" => Kind::Entered,
            "control" => Kind::Control,
            "complained" => Kind::Complained,
            "not_spam" => Kind::NotSpam,
            "delivered" => Kind::Delivered,
            "dismissed" => Kind::Dismissed,
            "replied" => Kind::Replied,
            "unsubscribed" => Kind::Unsubscribed,
            "subscribed" => Kind::Subscribed,
            "bounced" => match self.bounce.as_ref().map(|b| b.0.as_ref()) {
                Some("hard") => Kind::HardBounced,
                None => {
                    let detail = "bounced needs bounce: hard where the address does not exist, else soft";
                    return refuse("missing_bounce", detail);
                }
                Some("soft") => Kind::SoftBounced,
                Some(other) => {
                    return refuse(
                        "invalid_bounce",
                        format!("bounce `{}` must be hard or soft", clip(other)),
                    );
                }
            },
            other => {
                return refuse("invalid_type", format!("type `{}` must be one of {TYPES}", clip(other)));
            }
        })
    }

    fn check_fields_fit(&self, kind: Kind) -> Result<(), Refusal> {
        let misfits = [
            (self.link_alias.is_some() && kind != Kind::Clicked, "link_alias", "clicked"),
            (
                self.machine.is_some() && !matches!(kind, Kind::Opened | Kind::Clicked),
                "machine",
                "opened or clicked",
            ),
            (self.conversion.is_some() && kind != Kind::Converted, "conversion", "converted"),
            (
                self.bounce.is_some() && !matches!(kind, Kind::HardBounced | Kind::SoftBounced),
                "bounce",
                "bounced",
            ),
        ];
        match misfits.iter().find(|(misfit, ..)| *misfit) {
            Some((_, field, only)) => refuse(
                "field_not_allowed",
                format!("{field} goes with type {only} only, not with {}", self.kind.0),
            ),
            None => Ok(()),
        }
    }

    /// Campaigns have variants; Canvases have variations and steps, and are entered. What names neither has none of these.
    fn check_source_fits(&self, source: Option<SourceKind>, kind: Kind) -> Result<(), Refusal> {
        let Some(source) = source else {
            let fields = [
                ("variant_id", &self.variant_id),
                ("variation_id", &self.variation_id),
                ("step_id", &self.step_id),
            ];
            return match fields.iter().find(|(_, id)| id.is_some()) {
                Some((field, _)) => {
                    let needs = if *field == "variant_id" { "campaign_id" } else { "canvas_id" };
                    refuse("field_not_allowed", format!("{field} goes with {needs} only, which is missing"))
                }
                None => Ok(()),
            };
        };
        match source {
            SourceKind::Campaign if kind == Kind::Entered => refuse(
                "invalid_type",
                "type `entered` goes with canvas_id only; of a campaign's message send type `received`",
            ),
            SourceKind::Campaign if self.variation_id.is_some() => refuse(
                "field_not_allowed",
                "variation_id goes with canvas_id only, not with campaign_id; a campaign's is called variant_id",
            ),
            SourceKind::Campaign if self.step_id.is_some() => refuse(
                "field_not_allowed",
                "step_id goes with canvas_id only, not with campaign_id; campaigns have no steps",
            ),
            SourceKind::Canvas if self.variant_id.is_some() => refuse(
                "field_not_allowed",
                "variant_id goes with campaign_id only, not with canvas_id; a Canvas's is called variation_id",
            ),
            _ => Ok(()),
        }
    }
}
