//! Redact: secrets and personal data leave the request before anything else reads it.
//!
//! Works on the bytes of a decompressed request. What has to go is overwritten in place, byte for
//! byte (`[redacted:api_key]***`), so that no length changes: the request stays the message that it
//! was, its JSON stays JSON, and whatever later stages store, remember, count or send is made of
//! clean bytes. A request in which nothing is found is not copied.
//!
//! One pass finds clues ([`clues`]); [`texts`](crate::decode::texts) says which strings they are
//! in; the siblings say what in these strings is a secret. Not here: what content is kept at all.

mod assigned;
mod clues;
mod content;
mod personal;
mod rules;
mod secrets;
mod text;

#[cfg(test)]
mod tests;

pub use content::{ContentPolicy, Keep};

use std::{borrow::Cow, ops::Range};

use regex::bytes::Regex;

use self::clues::{Clue, Search};
use crate::decode::texts::{self, TextAt};

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    Secret,
    Email,
    Card,
    Phone,
    Iban,
    SocialSecurity,
}

/// What the operator wants gone.
#[derive(Debug, Clone)]
pub struct Options {
    pub categories: Vec<Category>,
    /// Names and regular expressions of the operator's own.
    pub patterns: Vec<(String, Regex)>,
}

/// Finds and overwrites. Built once; holds no state of requests.
pub struct Redactor {
    search: Search,
    options: Options,
}

/// Which message a body is.
type Walk = for<'a> fn(&'a [u8], &[usize], bool, &mut dyn FnMut(TextAt<'a>));

/// One thing that has to go, and what stands in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hit {
    range: Range<usize>,
    label: Label,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Id(&'static str),
    /// A pattern of the operator's, by number.
    Pattern(usize),
}

/// How a mark begins: what follows is the id and a bracket. Short secrets have less of it.
pub const MARK: &str = "[redacted:";

// === impl Category ===

impl Category {
    pub const ALL: [Category; 6] = [
        Category::Secret,
        Category::Email,
        Category::Card,
        Category::Phone,
        Category::Iban,
        Category::SocialSecurity,
    ];

    /// The name in the configuration and in the mark.
    pub fn as_str(self) -> &'static str {
        match self {
            Category::Secret => "secret",
            Category::Email => "email",
            Category::Card => "card",
            Category::Phone => "phone",
            Category::Iban => "iban",
            Category::SocialSecurity => "ssn",
        }
    }
}

// === impl Options ===

impl Default for Options {
    /// Every category, no pattern.
    fn default() -> Self {
        Options {
            categories: Category::ALL.to_vec(),
            patterns: Vec::new(),
        }
    }
}

// === impl Redactor ===

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Redactor::new(Options::default())
    }
}

impl Redactor {
    pub fn new(options: Options) -> Redactor {
        Redactor {
            search: Search::new(),
            options,
        }
    }

    /// A trace request without what has to go, and how many things went.
    pub fn traces<'b>(&self, body: Cow<'b, [u8]>) -> (Cow<'b, [u8]>, usize) {
        self.body(body, texts::traces)
    }

    /// The same for a log request.
    pub fn logs<'b>(&self, body: Cow<'b, [u8]>) -> (Cow<'b, [u8]>, usize) {
        self.body(body, texts::logs)
    }

    /// A text without what has to go.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let clues = self.clues(text.as_bytes());
        let mut hits = Vec::new();
        self.find(text.as_bytes(), 0, &clues, &mut hits);
        if hits.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut bytes = text.as_bytes().to_vec();
        self.overwrite(&mut bytes, &mut hits);
        // Whole characters were overwritten with ASCII.
        Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn body<'b>(&self, body: Cow<'b, [u8]>, walk: Walk) -> (Cow<'b, [u8]>, usize) {
        let mut clues = self.clues(&body);
        let every = !self.options.patterns.is_empty();
        if clues.is_empty() && !every {
            return (body, 0);
        }
        clues.sort_unstable_by_key(|(at, _)| *at);
        let marks: Vec<usize> = clues.iter().map(|(at, _)| *at).collect();
        let mut hits = Vec::new();
        walk(&body, &marks, every, &mut |text| {
            let own = clues.get(text.marks.clone()).unwrap_or_default();
            if !text.marked_key.is_empty()
                && self.wants(Category::Secret)
                && assigned::is_secret_key(text.marked_key)
            {
                hits.push(Hit {
                    range: text.at..text.at + text.bytes.len(),
                    label: Label::Id("secret"),
                });
            } else {
                self.find(text.bytes, text.at, own, &mut hits);
            }
        });
        if hits.is_empty() {
            return (body, 0);
        }
        let mut bytes = body.into_owned();
        let count = self.overwrite(&mut bytes, &mut hits);
        (Cow::Owned(bytes), count)
    }

    fn wants(&self, category: Category) -> bool {
        self.options.categories.contains(&category)
    }

    fn clues(&self, bytes: &[u8]) -> Vec<(usize, Clue)> {
        let mut found = Vec::new();
        let mut see = |at, clue| found.push((at, clue));
        if self.wants(Category::Secret) {
            self.search.secrets(bytes, &mut see);
        }
        if self.wants(Category::Secret) || self.wants(Category::Email) {
            self.search.at_signs(bytes, &mut see);
        }
        let numbers = [
            Category::Card,
            Category::Phone,
            Category::Iban,
            Category::SocialSecurity,
        ];
        if numbers.iter().any(|c| self.wants(*c)) {
            self.search.digits(bytes, &mut see);
        }
        found
    }

    /// What has to go of one text; `base` is where it stands in the body, as the clues do.
    fn find(&self, text: &[u8], base: usize, clues: &[(usize, Clue)], hits: &mut Vec<Hit>) {
        let mut hit = |range: Range<usize>, label| {
            hits.push(Hit {
                range: base + range.start..base + range.end,
                label,
            });
        };
        for (at, clue) in clues {
            self.look(text, at.saturating_sub(base), *clue, &mut hit);
        }
        for (number, (_, pattern)) in self.options.patterns.iter().enumerate() {
            for found in pattern.find_iter(text).filter(|m| !m.is_empty()) {
                hit(found.range(), Label::Pattern(number));
            }
        }
    }

    /// Follows one clue.
    fn look(&self, text: &[u8], at: usize, clue: Clue, hit: &mut impl FnMut(Range<usize>, Label)) {
        let found = match clue {
            Clue::Token { row, start } => rules::tokens().get(row).and_then(|row| {
                let range = secrets::token(row, start, text, at)?;
                Some((range, row.id.as_str()))
            }),
            Clue::JsonWebToken => secrets::json_web_token(text, at).map(|r| (r, "jwt")),
            Clue::Bearer => secrets::bearer(6, text, at).map(|r| (r, "bearer_token")),
            Clue::Basic => secrets::basic(5, text, at).map(|r| (r, "basic_auth")),
            Clue::PrivateKey => secrets::private_key(text, at).map(|r| (r, "private_key")),
            Clue::Name => assigned::assigned(text, at).map(|r| (r, "secret")),
            Clue::At(sign) => {
                let password = (sign == 1 && self.wants(Category::Secret))
                    .then(|| secrets::url_password(text, at))
                    .flatten();
                match password {
                    Some(range) => Some((range, "password")),
                    None if self.wants(Category::Email) => {
                        personal::email(sign, text, at).map(|r| (r, "email"))
                    }
                    None => None,
                }
            }
            Clue::Digits { before, behind } => {
                let (mut from, to) = (at.saturating_sub(before), at + behind);
                while let Some((category, range)) = personal::number(text, from, to) {
                    from = range.end;
                    if self.wants(category) {
                        hit(range, Label::Id(category.as_str()));
                    }
                }
                None
            }
        };
        if let Some((range, id)) = found {
            hit(range, Label::Id(id));
        }
    }

    /// Overwrites what has to go with marks of the same length; gives their number.
    fn overwrite(&self, bytes: &mut [u8], hits: &mut [Hit]) -> usize {
        // The longest of those that begin together says what it was.
        hits.sort_unstable_by_key(|hit| (hit.range.start, std::cmp::Reverse(hit.range.end)));
        let (mut end, mut count) = (0, 0);
        for hit in hits.iter() {
            let id = match hit.label {
                Label::Id(id) => id,
                Label::Pattern(number) => match self.options.patterns.get(number) {
                    Some((name, _)) => name.as_str(),
                    None => "pattern",
                },
            };
            let from = hit.range.start.max(end);
            if let Some(place) = bytes.get_mut(from..hit.range.end) {
                // What lies in another hit is gone; what reaches out of it goes without a label.
                mark(place, if from == hit.range.start { id } else { "" });
                count += usize::from(!place.is_empty());
            }
            end = end.max(hit.range.end);
        }
        count
    }
}

/// `[redacted:id]***`, as much of it as there is place for.
fn mark(place: &mut [u8], id: &str) {
    place.fill(b'*');
    let length = MARK.len() + id.len() + 1;
    let full = [MARK.as_bytes(), id.as_bytes(), b"]"].concat();
    let short = [b"[", id.as_bytes(), b"]"].concat();
    let fits = if id.is_empty() {
        None
    } else if length <= place.len() {
        Some(full)
    } else {
        Some(short)
    };
    if let Some(text) = fits
        && let Some(head) = place.get_mut(..text.len())
    {
        head.copy_from_slice(&text);
    }
}
