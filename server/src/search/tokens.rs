//! The words, numbers and signs of CQL2 text.

use super::properties::cut;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name or a keyword; quoted names are never keywords.
    Word(String),
    Quoted(String),
    Text(String),
    Number(f64),
    Sign(&'static str),
    End,
}

const SIGNS: [&str; 14] = ["<>", "<=", ">=", "<", ">", "=", "(", ")", ",", "+", "-", "*", "/", "^"];

/// Tokens with their places in bytes.
///
/// # Errors
/// A sign that CQL2 has not, a quote without an end, a number that is none.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    let enclosed = |rest: &str, quote: char| -> Option<(String, usize)> {
        let mut value = String::new();
        let mut chars = rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c != quote {
                value.push(c);
            } else if chars.next_if(|(_, n)| *n == quote).is_some() {
                value.push(quote);
            } else {
                return Some((value, at + 1));
            }
        }
        None
    };
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let Some(first) = rest.chars().next() else { break };
        let (token, length) = match first {
            '\'' | '"' => {
                let (value, length) = enclosed(rest, first)
                    .ok_or_else(|| format!("the quote at character {} has no end", at + 1))?;
                (if first == '"' { Token::Quoted(value) } else { Token::Text(value) }, length)
            }
            '0'..='9' | '.' => {
                let bytes = rest.as_bytes();
                let mut length = bytes.iter().take_while(|c| c.is_ascii_digit() || **c == b'.').count();
                if matches!(bytes.get(length), Some(b'e' | b'E')) {
                    let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
                    let digits = bytes[length + 1 + sign..].iter().take_while(|c| c.is_ascii_digit()).count();
                    length += if digits > 0 { 1 + sign + digits } else { 0 };
                }
                let number = rest[..length].parse().ok().filter(|n: &f64| n.is_finite());
                (
                    Token::Number(number.ok_or_else(|| format!("{:?} is no number", cut(&rest[..length])))?),
                    length,
                )
            }
            c if c.is_alphabetic() || matches!(c, '_' | ':') => {
                let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '.');
                let length = rest.find(|c| !inside(c)).unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            }
            '%' => (Token::Sign("%"), 1),
            c => match SIGNS.iter().find(|s| rest.starts_with(**s)) {
                Some(s) => (Token::Sign(s), s.len()),
                None => return Err(format!("{c:?} at character {} means nothing here", at + 1)),
            },
        };
        out.push((token, at));
        rest = &rest[length..];
    }
    out.push((Token::End, text.len()));
    Ok(out)
}
