//! From text to an [`Expression`].

use super::{Expression, Filler, Operator, Reduction};

/// How deep parentheses and functions may nest.
const DEPTH: usize = 64;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Word(String),
    Text(String),
    Operator(Operator),
    OpenArray,
    CloseArray,
    Open,
    Close,
    Comma,
}

/// Reads an expression; the error names what is not known here.
pub(crate) fn parse(text: &str) -> Result<Expression, String> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
    };
    let expression = parser.expression(0)?;
    match parser.take() {
        None => Ok(expression),
        Some(token) => Err(format!("{} where the expression should end", said(&token))),
    }
}

fn said(token: &Token) -> String {
    match token {
        Token::Number(number) => format!("the number {number}"),
        Token::Word(word) => format!("{word:?}"),
        Token::Operator(operator) => format!("the operator {operator:?}"),
        Token::Text(text) => format!("the text {text:?}"),
        Token::OpenArray => "[".to_owned(),
        Token::CloseArray => "]".to_owned(),
        Token::Open => "(".to_owned(),
        Token::Close => ")".to_owned(),
        Token::Comma => "a comma".to_owned(),
    }
}

const SYMBOLS: [(&str, Token); 19] = [
    ("==", Token::Operator(Operator::Equal)),
    ("!=", Token::Operator(Operator::NotEqual)),
    ("<=", Token::Operator(Operator::LessOrEqual)),
    (">=", Token::Operator(Operator::GreaterOrEqual)),
    ("&&", Token::Operator(Operator::And)),
    ("||", Token::Operator(Operator::Or)),
    ("<", Token::Operator(Operator::Less)),
    (">", Token::Operator(Operator::Greater)),
    ("+", Token::Operator(Operator::Add)),
    ("-", Token::Operator(Operator::Subtract)),
    ("*", Token::Operator(Operator::Multiply)),
    ("/", Token::Operator(Operator::Divide)),
    ("(", Token::Open),
    (")", Token::Close),
    ("[", Token::OpenArray),
    ("]", Token::CloseArray),
    (",", Token::Comma),
    ("AND", Token::Operator(Operator::And)),
    ("OR", Token::Operator(Operator::Or)),
];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let number = |c: char| c.is_ascii_digit() || c == '.';
        let (token, length) = if number(first) {
            let length = rest.find(|c| !number(c)).unwrap_or(rest.len());
            let text = &rest[..length];
            let number = text.parse().map_err(|_| format!("{text:?} is no number"))?;
            (Token::Number(number), length)
        } else if word(first) {
            let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
            let text = &rest[..length];
            let symbol = SYMBOLS.iter().find(|(symbol, _)| *symbol == text);
            let token = symbol.map_or_else(|| Token::Word(text.to_owned()), |(_, t)| t.clone());
            (token, length)
        } else if let Some(text) = rest.strip_prefix('"') {
            let length = text.find('"').ok_or("a text without its end")?;
            (Token::Text(text[..length].to_owned()), length + 2)
        } else {
            let symbol = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol));
            let (symbol, token) =
                symbol.ok_or_else(|| format!("stepfleet-local has no {first:?} in metric math"))?;
            (token.clone(), symbol.len())
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

const REDUCTIONS: [(&str, Reduction); 4] = [
    ("SUM", Reduction::Sum),
    ("AVG", Reduction::Average),
    ("MIN", Reduction::Minimum),
    ("MAX", Reduction::Maximum),
];

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.next += 1;
        token
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), String> {
        match self.take() {
            Some(token) if token == *wanted => Ok(()),
            Some(token) => Err(format!("{} instead of {}", said(&token), said(wanted))),
            None => Err(format!("the end instead of {}", said(wanted))),
        }
    }

    /// Everything that binds stronger than `strength`.
    fn expression(&mut self, strength: u8) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("it nests deeper than {DEPTH}"));
        }
        let mut left = self.term()?;
        while let Some(Token::Operator(operator)) = self.peek() {
            let operator = *operator;
            if operator.strength() <= strength {
                break;
            }
            self.next += 1;
            let right = self.expression(operator.strength())?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn term(&mut self) -> Result<Expression, String> {
        match self.take() {
            Some(Token::Number(number)) => Ok(Expression::Number(number)),
            // Binds like a product: -a * b is (-a) * b, which is the same.
            Some(Token::Operator(Operator::Subtract)) => {
                let inner = self.expression(Operator::Multiply.strength())?;
                Ok(Expression::Negate(Box::new(inner)))
            }
            Some(Token::Open) => {
                let inner = self.expression(0)?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Some(Token::OpenArray) => self.array(),
            Some(Token::Word(word)) if self.peek() == Some(&Token::Open) => self.function(&word),
            Some(Token::Word(word)) if word.starts_with(|c: char| c.is_ascii_lowercase()) => {
                Ok(Expression::Id(word))
            }
            Some(Token::Word(word)) => Err(format!(
                "stepfleet-local has no {word} in metric math; ids start with a small letter"
            )),
            Some(token) => Err(format!("{} where a value should be", said(&token))),
            None => Err("it ends where a value should be".to_owned()),
        }
    }

    fn function(&mut self, name: &str) -> Result<Expression, String> {
        self.expect(&Token::Open)?;
        let expression = match name {
            "IF" => {
                let condition = self.expression(0)?;
                self.expect(&Token::Comma)?;
                let yes = self.expression(0)?;
                self.expect(&Token::Comma)?;
                let no = self.expression(0)?;
                Expression::If(Box::new(condition), Box::new(yes), Box::new(no))
            }
            "FILL" => {
                let inner = self.expression(0)?;
                self.expect(&Token::Comma)?;
                Expression::Fill(Box::new(inner), self.filler()?)
            }
            "DIFF" => Expression::Diff(Box::new(self.expression(0)?)),
            "METRICS" => Expression::Metrics(match self.peek() {
                Some(Token::Text(text)) => {
                    let text = text.clone();
                    self.next += 1;
                    text
                }
                _ => String::new(),
            }),
            "PERIOD" => match self.take() {
                Some(Token::Word(id)) if id.starts_with(|c: char| c.is_ascii_lowercase()) => {
                    Expression::Period(id)
                }
                _ => return Err("PERIOD takes the id of a metric".to_owned()),
            },
            other => {
                let reduction = REDUCTIONS.iter().find(|(name, _)| *name == other);
                let (_, reduction) = reduction.ok_or_else(|| {
                    format!(
                        "stepfleet-local has no function {other} in metric math, only IF, FILL, \
                         DIFF, SUM, AVG, MIN, MAX, PERIOD and METRICS"
                    )
                })?;
                Expression::Reduce(*reduction, Box::new(self.expression(0)?))
            }
        };
        self.expect(&Token::Close)?;
        Ok(expression)
    }

    /// Behind its opening bracket.
    fn array(&mut self) -> Result<Expression, String> {
        let mut all = vec![self.expression(0)?];
        while self.peek() == Some(&Token::Comma) {
            self.next += 1;
            all.push(self.expression(0)?);
        }
        self.expect(&Token::CloseArray)?;
        Ok(Expression::Array(all))
    }

    fn filler(&mut self) -> Result<Filler, String> {
        if self.peek() == Some(&Token::Word("REPEAT".to_owned())) {
            self.next += 1;
            return Ok(Filler::Repeat);
        }
        Ok(Filler::Value(Box::new(self.expression(0)?)))
    }
}
