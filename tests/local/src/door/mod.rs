//! Who may speak at the ports: strangers on the same machine, and web pages that
//! somebody there looks at, may not.

mod token;

pub use token::Token;
