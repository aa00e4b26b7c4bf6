//! What the front must know of a statement's text: where an `INSERT` ends and its data begins, whether a second
//! statement follows, which format was asked for, and whether the text names a file of the engine process.
//!
//! A lexer, not a parser: strings, quoted names, heredocs, comments and brackets are told apart, the rest is left to
//! the engine. `INTO OUTFILE` and `FROM INFILE` must be refused here, because the engine library performs them on the
//! client's side, past grants and `readonly`.

/// One piece of the text that is neither white space nor comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An unquoted word or number.
    Word,
    /// A string, a quoted name or a heredoc.
    Quoted,
    /// Any other byte.
    Byte(u8),
}

/// What a text turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// An `INSERT` whose rows follow: the statement is `text[..head_end]` without `FORMAT`, the rows start at `data`.
    Insert {
        head_end: usize,
        format: String,
        data: usize,
    },
    /// Anything else.
    Query {
        /// A `SELECT` in any of its spellings, whose result can be streamed.
        select: bool,
        /// The name after `FORMAT`.
        format: Option<String>,
        /// `WITH TOTALS` stands somewhere: the result has a tail that chunks cannot carry.
        totals: bool,
        /// Starts with `SET` or `USE`: changes the session.
        session: bool,
    },
    /// An `INSERT` whose end is not in this text yet.
    Incomplete,
}

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("one request carries one statement; send the second one by itself")]
    Several,
    #[error(
        "INTO OUTFILE and FROM INFILE are refused: the store reads and writes no files of its clients"
    )]
    File,
    #[error("Empty query")]
    Empty,
}

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at.saturating_add(ahead)).copied()
    }

    /// Moves behind the next occurrence of `needle`, or to the end.
    fn skip_past(&mut self, needle: &[u8]) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at = match memchr::memmem::find(rest, needle) {
            Some(found) => self.at.saturating_add(found).saturating_add(needle.len()),
            None => self.text.len(),
        };
    }

    fn skip_blank(&mut self) {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(byte), _) if byte.is_ascii_whitespace() || byte == 0x0B => {
                    self.at = self.at.saturating_add(1)
                }
                (Some(b'-'), Some(b'-')) | (Some(b'#'), Some(b' ' | b'!')) => self.skip_past(b"\n"),
                (Some(b'/'), Some(b'*')) => {
                    self.at = self.at.saturating_add(2);
                    self.skip_past(b"*/");
                }
                _ => return,
            }
        }
    }

    /// Behind a quoted text that starts here: a backslash or a doubled quote does not end it.
    fn skip_quoted(&mut self, quote: u8) {
        self.at = self.at.saturating_add(1);
        while let Some(byte) = self.peek(0) {
            if byte == b'\\' || (byte == quote && self.peek(1) == Some(quote)) {
                self.at = self.at.saturating_add(2);
            } else {
                self.at = self.at.saturating_add(1);
                if byte == quote {
                    return;
                }
            }
        }
        self.at = self.text.len();
    }

    /// Behind `$tag$ ... $tag$`; false when no heredoc starts here.
    fn skip_heredoc(&mut self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let tag_length = rest
            .iter()
            .skip(1)
            .take_while(|byte| is_word(**byte))
            .count();
        let end = tag_length.saturating_add(2);
        if rest.get(end.saturating_sub(1)) != Some(&b'$') {
            return false;
        }
        let tag = rest.get(..end).unwrap_or_default().to_vec();
        self.at = self.at.saturating_add(end);
        self.skip_past(&tag);
        true
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blank();
        let start = self.at;
        let byte = self.peek(0)?;
        let kind = match byte {
            b'\'' | b'"' | b'`' => {
                self.skip_quoted(byte);
                Kind::Quoted
            }
            b'$' if self.skip_heredoc() => Kind::Quoted,
            byte if is_word(byte) => {
                while self.peek(0).is_some_and(is_word) {
                    self.at = self.at.saturating_add(1);
                }
                Kind::Word
            }
            byte => {
                self.at = self.at.saturating_add(1);
                Kind::Byte(byte)
            }
        };
        Some(Token {
            kind,
            start,
            end: self.at,
        })
    }
}

/// The tokens of a text with the depth of brackets around each.
struct Reader<'a> {
    text: &'a [u8],
    tokens: std::iter::Peekable<Lexer<'a>>,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            tokens: Lexer { text, at: 0 }.peekable(),
            depth: 0,
        }
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.next()?;
        match token.kind {
            Kind::Byte(b'(' | b'[' | b'{') => self.depth = self.depth.saturating_add(1),
            Kind::Byte(b')' | b']' | b'}') => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        Some(token)
    }

    fn word(&self, token: Option<Token>) -> &'a [u8] {
        match token {
            Some(Token {
                kind: Kind::Word,
                start,
                end,
            }) => self.text.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }

    fn is(&self, token: Token, word: &str) -> bool {
        self.word(Some(token)).eq_ignore_ascii_case(word.as_bytes())
    }

    fn next_is(&mut self, word: &str) -> bool {
        self.tokens
            .peek()
            .copied()
            .is_some_and(|token| self.is(token, word))
    }
}

/// Takes a text apart. `complete` says that nothing follows it; when it is false, an `INSERT` whose data does not
/// start in this text is [`Statement::Incomplete`], and so is everything else.
pub fn split(text: &[u8], complete: bool) -> Result<Statement, Refusal> {
    let mut reader = Reader::new(text);
    let mut first = reader.next();
    while let Some(Token {
        kind: Kind::Byte(b'('),
        ..
    }) = first
    {
        first = reader.next();
    }
    let Some(first) = first else {
        return if complete {
            Err(Refusal::Empty)
        } else {
            Ok(Statement::Incomplete)
        };
    };
    if reader.is(first, "INSERT") {
        match insert(&mut reader, complete)? {
            Some(statement) => return Ok(statement),
            None if !complete => return Ok(Statement::Incomplete),
            None => reader = Reader::new(text),
        }
    } else if !complete {
        return Ok(Statement::Incomplete);
    }
    query(reader, first)
}

/// `Ok(None)`: not (or not yet) an `INSERT` with data.
fn insert(reader: &mut Reader<'_>, complete: bool) -> Result<Option<Statement>, Refusal> {
    if reader.next_is("INTO") {
        reader.next();
    }
    for optional in ["TABLE", "FUNCTION"] {
        if reader.next_is(optional) {
            reader.next();
        }
    }
    // The name, which may itself read like a keyword; a dot is followed by another part.
    let mut name = reader.next();
    while name.is_some()
        && reader
            .tokens
            .peek()
            .is_some_and(|token| token.kind == Kind::Byte(b'.'))
    {
        reader.next();
        name = reader.next();
    }
    while let Some(token) = reader.next() {
        let at_top = reader.depth == 0;
        if reader.is(token, "FROM") && reader.next_is("INFILE") {
            return Err(Refusal::File);
        }
        if reader.is(token, "SELECT") || reader.is(token, "WITH") || reader.is(token, "WATCH") {
            return Ok(None);
        }
        if at_top && reader.is(token, "VALUES") && (complete || token.end < reader.text.len()) {
            return Ok(Some(Statement::Insert {
                head_end: token.start,
                format: "Values".to_owned(),
                data: token.end,
            }));
        }
        if at_top && reader.is(token, "FORMAT") {
            let name = reader.tokens.peek().copied();
            let format = reader.word(name);
            let Some(name) = name.filter(|_| !format.is_empty()) else {
                continue;
            };
            let Some(data) = data_start(reader.text, name.end, complete) else {
                return Ok(None);
            };
            let format = String::from_utf8_lossy(format).into_owned();
            return Ok(Some(Statement::Insert {
                head_end: token.start,
                format,
                data,
            }));
        }
    }
    Ok(None)
}

/// The rows start after the format's name, blanks, and one end of line.
fn data_start(text: &[u8], name_end: usize, complete: bool) -> Option<usize> {
    let mut at = name_end;
    while let Some(b' ' | b'\t' | b'\r' | b';') = text.get(at) {
        at = at.saturating_add(1);
    }
    match text.get(at) {
        Some(b'\n') => Some(at.saturating_add(1)),
        Some(_) => Some(at),
        None => complete.then_some(at),
    }
}

fn query(mut reader: Reader<'_>, first: Token) -> Result<Statement, Refusal> {
    let select = ["SELECT", "WITH", "FROM"]
        .iter()
        .any(|word| reader.is(first, word));
    let session = ["SET", "USE"].iter().any(|word| reader.is(first, word));
    let mut format = None;
    let mut totals = false;
    while let Some(token) = reader.next() {
        if token.kind == Kind::Byte(b';') {
            while reader
                .tokens
                .peek()
                .is_some_and(|token| token.kind == Kind::Byte(b';'))
            {
                reader.next();
            }
            if reader.tokens.peek().is_some() {
                return Err(Refusal::Several);
            }
        }
        if (reader.is(token, "INTO") && reader.next_is("OUTFILE"))
            || (reader.is(token, "FROM") && reader.next_is("INFILE"))
        {
            return Err(Refusal::File);
        }
        totals |= reader.is(token, "WITH") && reader.next_is("TOTALS");
        if reader.depth == 0 && reader.is(token, "FORMAT") {
            let name = reader.tokens.peek().copied();
            let word = reader.word(name);
            if !word.is_empty() {
                format = Some(String::from_utf8_lossy(word).into_owned());
            }
        }
    }
    Ok(Statement::Query {
        select,
        format,
        totals,
        session,
    })
}

#[cfg(test)]
mod tests;
