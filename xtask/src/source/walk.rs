//! One pass over the tokens of a file, level by level.

use super::{Facts, Function, Located, Module};
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

/// Collects what stands in the tokens of a file.
pub(super) fn facts(tokens: TokenStream) -> Facts {
    let mut facts = Facts::default();
    Level::new(tokens, false).walk(&mut facts);
    facts
}

/// Words before a path such as `::std::fs` that are no part of it.
const CANNOT_START_A_PATH: [&str; 18] = [
    "as", "break", "const", "dyn", "else", "extern", "for", "if", "impl", "in", "match", "move", "mut", "ref",
    "return", "use", "where", "while",
];

/// The tokens between two delimiters, and where we are in them.
struct Level {
    tokens: Vec<TokenTree>,
    next: usize,
    /// The whole level is test code.
    in_test: bool,
    /// The current item is test code.
    item_in_test: bool,
    /// A function whose body has not come yet: name and line.
    open_function: Option<(String, usize)>,
}

impl Level {
    fn new(tokens: TokenStream, in_test: bool) -> Self {
        Self { tokens: tokens.into_iter().collect(), next: 0, in_test, item_in_test: false, open_function: None }
    }

    fn walk(mut self, facts: &mut Facts) {
        while let Some(token) = self.tokens.get(self.next).cloned() {
            self.next += 1;
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '#' => self.attribute(facts),
                TokenTree::Punct(punct) if punct.as_char() == ';' => self.end_item(),
                TokenTree::Punct(_) => {}
                TokenTree::Ident(ident) => self.ident(&ident, facts),
                TokenTree::Literal(literal) => self.literal(&literal.to_string(), literal.span(), facts),
                TokenTree::Group(group) => self.group(&group, facts),
            }
        }
    }

    fn located<T>(&self, what: T, span: Span) -> Located<T> {
        Located { what, line: span.start().line, in_test: self.in_test || self.item_in_test }
    }

    fn end_item(&mut self) {
        self.item_in_test = false;
        self.open_function = None;
    }

    /// After `#`: an outer attribute belongs to the next item, an inner one to the whole level.
    fn attribute(&mut self, facts: &mut Facts) {
        let inner = self.punct_at(self.next, '!');
        let Some(TokenTree::Group(group)) = self.tokens.get(self.next + usize::from(inner)).cloned() else {
            return;
        };
        if group.delimiter() != Delimiter::Bracket {
            return;
        }
        self.next += usize::from(inner) + 1;
        let body = group.stream();
        if marks_test(&body) {
            self.in_test |= inner;
            self.item_in_test |= !inner;
        }
        if contains_allow(&body) {
            facts.allows.push(self.located((), group.span()));
        }
        if first_ident(&body).is_none_or(|ident| ident != "doc") {
            Level::new(body, self.in_test || self.item_in_test).walk(facts);
        }
    }

    fn literal(&self, text: &str, span: Span, facts: &mut Facts) {
        if text.contains('"') {
            facts.strings.push(self.located(text.to_owned(), span));
        }
    }

    fn group(&mut self, group: &Group, facts: &mut Facts) {
        let brace = group.delimiter() == Delimiter::Brace;
        if let Some((name, line)) = self.open_function.take_if(|_| brace) {
            let lines = group.span_close().end().line - line + 1;
            let in_test = self.in_test || self.item_in_test;
            facts.functions.push(Located { what: Function { name, lines }, line, in_test });
        }
        Level::new(group.stream(), self.in_test || self.item_in_test).walk(facts);
        if brace {
            self.end_item();
        }
    }

    fn ident(&mut self, ident: &Ident, facts: &mut Facts) {
        let name = ident.to_string();
        if name == "fn"
            && let Some(TokenTree::Ident(function)) = self.tokens.get(self.next)
        {
            self.open_function = Some((function.to_string(), ident.span().start().line));
        }
        if name == "mod"
            && let Some(TokenTree::Ident(module)) = self.tokens.get(self.next)
        {
            let inline = matches!(self.tokens.get(self.next + 1), Some(TokenTree::Group(_)));
            let module = Module { name: module.to_string(), inline };
            facts.modules.push(self.located(module, ident.span()));
        }
        if self.punct_at(self.next, '!') && !self.punct_at(self.next + 1, '=') {
            facts.macros.push(self.located(name.clone(), ident.span()));
        }
        if !CANNOT_START_A_PATH.contains(&name.as_str()) {
            self.path(vec![name], ident.span(), facts);
        }
    }

    /// The rest of a path whose first segments are read; a `use` tree below it is taken apart.
    fn path(&mut self, mut segments: Vec<String>, span: Span, facts: &mut Facts) {
        while self.punct_at(self.next, ':') && self.punct_at(self.next + 1, ':') {
            match self.tokens.get(self.next + 2).cloned() {
                Some(TokenTree::Ident(ident)) => segments.push(ident.to_string()),
                Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => segments.push("*".to_owned()),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.next += 3;
                    return self.use_tree(&group, &segments, facts);
                }
                _ => break,
            }
            self.next += 3;
        }
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        if segments.len() == 1 && matches!(self.tokens.get(self.next), Some(TokenTree::Ident(word)) if word == "as") {
            segments.push("*".to_owned());
        }
        facts.paths.push(self.located(segments, span));
    }

    /// `{a, b::c as d, e::{f, g}}` below a prefix.
    fn use_tree(&self, group: &Group, prefix: &[String], facts: &mut Facts) {
        let mut level = Level::new(group.stream(), self.in_test || self.item_in_test);
        while let Some(token) = level.tokens.get(level.next).cloned() {
            level.next += 1;
            let segment = match &token {
                TokenTree::Ident(ident) => ident.to_string(),
                TokenTree::Punct(punct) if punct.as_char() == '*' => "*".to_owned(),
                _ => continue,
            };
            let segments = prefix.iter().cloned().chain([segment]).collect();
            level.path(segments, token.span(), facts);
            level.skip_to_comma();
        }
    }

    fn skip_to_comma(&mut self) {
        while self.next < self.tokens.len() && !self.punct_at(self.next, ',') {
            self.next += 1;
        }
    }

    fn punct_at(&self, index: usize, wanted: char) -> bool {
        matches!(self.tokens.get(index), Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
    }
}

fn first_ident(tokens: &TokenStream) -> Option<Ident> {
    match tokens.clone().into_iter().next() {
        Some(TokenTree::Ident(ident)) => Some(ident),
        _ => None,
    }
}

/// `test`, `tokio::test`, `cfg(test)`, `cfg(all(test, unix))`; not `cfg(not(test))`, not `cfg_attr(test, …)`.
fn marks_test(attribute: &TokenStream) -> bool {
    let idents = flat_idents(attribute);
    match idents.first().map(String::as_str) {
        Some("cfg") => idents.iter().any(|ident| ident == "test") && !idents.iter().any(|ident| ident == "not"),
        Some("cfg_attr" | "doc") | None => false,
        Some(_) => top_level_path(attribute).is_some_and(|last| last == "test"),
    }
}

/// The last word of the path that an attribute begins with.
fn top_level_path(attribute: &TokenStream) -> Option<String> {
    let words = attribute.clone().into_iter().take_while(|token| match token {
        TokenTree::Ident(_) => true,
        TokenTree::Punct(punct) => punct.as_char() == ':',
        _ => false,
    });
    words.last().map(|token| token.to_string())
}

fn contains_allow(attribute: &TokenStream) -> bool {
    let tokens: Vec<TokenTree> = attribute.clone().into_iter().collect();
    let called = tokens.windows(2).any(|pair| {
        matches!(pair, [TokenTree::Ident(ident), TokenTree::Group(group)]
            if ident == "allow" && group.delimiter() == Delimiter::Parenthesis)
    });
    called || tokens.iter().any(|token| matches!(token, TokenTree::Group(group) if contains_allow(&group.stream())))
}

fn flat_idents(tokens: &TokenStream) -> Vec<String> {
    tokens
        .clone()
        .into_iter()
        .flat_map(|token| match token {
            TokenTree::Ident(ident) => vec![ident.to_string()],
            TokenTree::Group(group) => flat_idents(&group.stream()),
            _ => Vec::new(),
        })
        .collect()
}
