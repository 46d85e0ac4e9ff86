//! A secret word that a caller shows to be let in.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderMap, header};

/// The fewest letters of a token that somebody chose.
const SHORTEST: usize = 16;

/// A secret word that a caller shows to be let in: `Authorization: Bearer TOKEN`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

// === impl Token ===

impl Token {
    /// One that nobody knows yet.
    pub fn random() -> Self {
        Self(hex::encode(rand::random::<[u8; 32]>()))
    }

    /// One that somebody chose.
    ///
    /// # Errors
    /// If it cannot be sent as a header, or is soon guessed.
    pub fn chosen(text: &str) -> Result<Self, String> {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "-._~+/=".contains(letter);
        if text.len() < SHORTEST || !text.chars().all(fits) {
            return Err(format!(
                "allowed are {SHORTEST} or more of A-Z, a-z, 0-9 and -._~+/= \
                 (what was found is not said)"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The word itself, for whom it is meant.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Whether a request shows it. How long that takes tells nothing of the word.
    pub(crate) fn is_shown(&self, headers: &HeaderMap) -> bool {
        headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .is_some_and(|(_, shown)| {
                verify_slices_are_equal(shown.trim().as_bytes(), self.0.as_bytes()).is_ok()
            })
    }
}

// It is no secret once it is in a log.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_itself_is_let_in() {
        let token = Token::chosen("0123456789abcdef").unwrap();
        let table = [
            (None, false),
            (Some("Bearer 0123456789abcdef"), true),
            (Some("bearer 0123456789abcdef"), true),
            (Some("Bearer 0123456789abcdeF"), false),
            (Some("Bearer 0123456789abcdef0"), false),
            (Some("Bearer "), false),
            (Some("Basic 0123456789abcdef"), false),
            (Some("0123456789abcdef"), false),
        ];
        for (shown, admitted) in table {
            let mut headers = HeaderMap::new();
            if let Some(shown) = shown {
                headers.insert(header::AUTHORIZATION, shown.parse().unwrap());
            }
            assert_eq!(token.is_shown(&headers), admitted, "{shown:?}");
        }
    }

    #[test]
    fn a_word_that_is_soon_guessed_is_refused_and_none_is_printed() {
        for wrong in ["", "short", "0123456789 abcdef", "0123456789abcde\n"] {
            let said = Token::chosen(wrong).unwrap_err();
            assert!(said.contains("16 or more"), "{said}");
        }
        let token = Token::random();
        assert_ne!(token, Token::random());
        assert!(!format!("{token:?}").contains(token.secret()));
    }
}
