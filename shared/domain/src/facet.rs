//! The facet of a row: the kind of an interaction, and what it was about.

use crate::codec::{Reader, Truncated, put_varint};
use serde::Serialize;

/// The kind of an interaction: a thing that a user did with a message. The numbers are part of the stored format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// The message counted as received on its channel.
    Received = 1,
    /// Opened, by a person or by a machine.
    Opened = 2,
    /// Clicked a link, or a scanner did.
    Clicked = 3,
    /// Did what the message was meant to lead to: a conversion.
    Converted = 4,
    /// Entered a Canvas.
    Entered = 5,
    /// Was put in the control group.
    Control = 6,
    /// The address does not exist.
    HardBounced = 7,
    /// The mail could not be delivered this time.
    SoftBounced = 8,
    /// Marked the message as spam.
    Complained = 9,
    /// The message reached the address.
    Delivered = 10,
    /// Put the message away without opening it.
    Dismissed = 11,
    /// Answered the message.
    Replied = 12,
    /// Wants no more messages, on a channel or on any.
    Unsubscribed = 13,
    /// Wants messages again, on a channel or on any.
    Subscribed = 14,
    /// Took back that a message was spam.
    NotSpam = 15,
}

impl Kind {
    /// Every kind, by number.
    pub const ALL: [Self; 15] = [
        Self::Received,
        Self::Opened,
        Self::Clicked,
        Self::Converted,
        Self::Entered,
        Self::Control,
        Self::HardBounced,
        Self::SoftBounced,
        Self::Complained,
        Self::Delivered,
        Self::Dismissed,
        Self::Replied,
        Self::Unsubscribed,
        Self::Subscribed,
        Self::NotSpam,
    ];

    /// The name in archives and in counts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Opened => "opened",
            Self::Clicked => "clicked",
            Self::Converted => "converted",
            Self::Entered => "entered",
            Self::Control => "control",
            Self::HardBounced => "hard_bounced",
            Self::SoftBounced => "soft_bounced",
            Self::Complained => "complained",
            Self::Delivered => "delivered",
            Self::Dismissed => "dismissed",
            Self::Replied => "replied",
            Self::Unsubscribed => "unsubscribed",
            Self::Subscribed => "subscribed",
            Self::NotSpam => "not_spam",
        }
    }

    /// Whether an interaction of this kind says on which channel it was. The others may say it.
    pub const fn needs_channel(self) -> bool {
        matches!(
            self,
            Self::Received | Self::Opened | Self::Clicked | Self::Delivered | Self::Dismissed | Self::Replied
        )
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == name)
    }

    fn from_u8(n: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|k| *k as u8 == n)
    }
}

/// The channel of a message. The numbers are part of the stored format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Channel {
    Email = 1,
    Push = 2,
    Sms = 3,
    Whatsapp = 4,
    Webhook = 5,
    InApp = 6,
    ContentCard = 7,
    Banner = 8,
    Line = 9,
    Rcs = 10,
}

impl Channel {
    /// Every channel, by number.
    pub const ALL: [Self; 10] = [
        Self::Email,
        Self::Push,
        Self::Sms,
        Self::Whatsapp,
        Self::Webhook,
        Self::InApp,
        Self::ContentCard,
        Self::Banner,
        Self::Line,
        Self::Rcs,
    ];

    /// The channel's name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Push => "push",
            Self::Sms => "sms",
            Self::Whatsapp => "whatsapp",
            Self::Webhook => "webhook",
            Self::InApp => "in_app",
            Self::ContentCard => "content_card",
            Self::Banner => "banner",
            Self::Line => "line",
            Self::Rcs => "rcs",
        }
    }

    /// The channel of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == name)
    }

    /// `email, push, …`: for error messages.
    pub fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    fn from_u8(n: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|c| *c as u8 == n)
    }
}

/// The kind of an interaction and all it was about but the user and the time. Interactions of one user with the same
/// facet are one row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Facet {
    /// The kind of interaction.
    pub kind: Kind,
    /// The channel of the message, where that is known.
    pub channel: Option<Channel>,
    /// Whether a machine opened it, or clicked. Only for `Opened` and `Clicked`.
    pub machine: bool,
    /// Which conversion event; 0 is the primary one. Only for `Converted`.
    pub conversion: u8,
    /// The campaign's variant or the Canvas's variation.
    pub variant: Option<Box<str>>,
    /// The Canvas's step.
    pub step: Option<Box<str>>,
    /// The alias of the link. Only for `Clicked`.
    pub alias: Option<Box<str>>,
}

impl Facet {
    /// A facet of that kind and nothing else.
    pub const fn of(kind: Kind) -> Self {
        Self { kind, channel: None, machine: false, conversion: 0, variant: None, step: None, alias: None }
    }

    /// This facet as the `users` ledger keeps it, over all sources: without variant and step, and with one `converted`
    /// for all conversions.
    pub fn for_users(&self) -> Self {
        Self { variant: None, step: None, conversion: 0, ..self.clone() }
    }

    /// Appends the canonical encoding, which blocks store and digests hash:
    /// kind, channel (0 none), flags (bit 0 machine), conversion: a byte each; then variant, step and alias,
    /// each a varint (0 absent, else length + 1) and its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let head = (self.kind, self.channel, self.machine, self.conversion);
        encode_facet(head, [&self.variant, &self.step, &self.alias].map(Option::as_deref), out);
    }

    /// Reads what [`Facet::encode`] wrote; anything else is an error.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Truncated> {
        let kind = Kind::from_u8(reader.byte()?).ok_or(Truncated)?;
        let channel = match reader.byte()? {
            0 => None,
            n => Some(Channel::from_u8(n).ok_or(Truncated)?),
        };
        let machine = match reader.byte()? {
            0 => false,
            1 => true,
            _ => return Err(Truncated),
        };
        let conversion = reader.byte()?;
        let mut text = || -> Result<Option<Box<str>>, Truncated> {
            match reader.varint()? {
                0 => Ok(None),
                n => {
                    let bytes = reader.bytes(usize::try_from(n - 1).map_err(|_| Truncated)?)?;
                    Ok(Some(std::str::from_utf8(bytes).map_err(|_| Truncated)?.into()))
                }
            }
        };
        Ok(Self { kind, channel, machine, conversion, variant: text()?, step: text()?, alias: text()? })
    }
}

/// [`Facet::encode`] of a facet's parts: kind, channel, machine, conversion; variant, step, alias.
pub(crate) fn encode_facet(
    (kind, channel, machine, conversion): (Kind, Option<Channel>, bool, u8),
    texts: [Option<&str>; 3],
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(&[kind as u8, channel.map_or(0, |c| c as u8), u8::from(machine), conversion]);
    for text in texts {
        match text {
            None => put_varint(out, 0),
            Some(text) => {
                put_varint(out, text.len() as u64 + 1);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}
