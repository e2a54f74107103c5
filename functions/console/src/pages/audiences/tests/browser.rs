//! A browser for tests: the fields that it sends of a page.

use super::super::{form::builder, known::Known, pieces::Shown, state::State};
use crate::pages::forms::Fields;

/// The fields that a browser sends of a page with this state, and nothing but them: read from the page itself.
fn sent(state: &State) -> Vec<(String, String)> {
    let shown = Shown { state, known: &Known::default(), trouble: None };
    fields_of(&builder(&shown).into_string())
}

/// The successful controls of a page, as a browser finds them.
fn fields_of(page: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut select = None::<(String, Option<String>)>;
    for piece in page.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag ends");
        let element = tag.split([' ', '>']).next().unwrap_or_default();
        let attribute = |name: &str| {
            let value = tag.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0;
            Some(unescaped(value))
        };
        match element {
            "input" => {
                let is_off = attribute("type").as_deref() == Some("checkbox") && !tag.contains(" checked");
                fields.extend(
                    attribute("name").filter(|_| !is_off).zip(attribute("value").or(Some(String::new()))),
                );
            }
            "textarea" => fields.extend(attribute("name").map(|name| (name, unescaped(text)))),
            "select" => select = Some((attribute("name").expect("a list has a name"), None)),
            "option" => {
                let value = attribute("value").expect("an entry has a value");
                match &mut select {
                    Some((_, chosen)) if chosen.is_none() || tag.ends_with(" selected") => {
                        *chosen = Some(value)
                    }
                    _ => {}
                }
            }
            "/select" => {
                let (name, chosen) = select.take().expect("a list begins before it ends");
                fields.push((name, chosen.expect("a list has entries")));
            }
            _ => {}
        }
    }
    fields
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// The state after the form was sent as it is.
pub(super) fn round(state: &State) -> State {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in sent(state) {
        query.append_pair(&name, &value);
    }
    State::of_form(&Fields::of(query.finish().as_bytes()))
}
