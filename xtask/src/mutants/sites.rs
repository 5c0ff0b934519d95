//! Every ordering above Relaxed and every fence in the core's source, found token by token, so that nothing hides in a macro.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

/// Orderings that a site has.
const ORDERINGS: [&str; 4] = ["Acquire", "Release", "AcqRel", "SeqCst"];

/// One operation with something to weaken.
#[derive(Debug, PartialEq, Eq)]
pub struct Site {
    /// Below core/src.
    pub file: String,
    /// `function.ordinal what`: the name in the table, less the variant.
    pub name: String,
    /// Where the compiler says it is.
    pub place: String,
    pub variants: Vec<&'static str>,
}

impl Site {
    /// The keys of its rows.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        self.variants.iter().map(|variant| format!("{} {variant}", self.name))
    }
}

/// All sites below a folder, file by file, in the order of the source.
pub fn all(source: &Path, prefix: &str) -> Result<Vec<Site>, Box<dyn Error>> {
    let mut sites = Vec::new();
    for file in files(source)? {
        let below = file.strip_prefix(source)?.to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file)?;
        sites.extend(of_text(&below, &format!("{prefix}/{below}"), &text)?);
    }
    Ok(sites)
}

fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The sites of one file.
fn of_text(file: &str, path: &str, text: &str) -> Result<Vec<Site>, Box<dyn Error>> {
    let tokens: TokenStream = text.parse().map_err(|error| format!("{path}: {error}"))?;
    let mut finder = Finder { file, path, ordinals: BTreeMap::new(), sites: Vec::new(), lost: Vec::new() };
    finder.walk(&tokens.into_iter().collect::<Vec<_>>(), "(file)", false);
    if finder.lost.is_empty() {
        Ok(finder.sites)
    } else {
        Err(format!("orderings outside of any known operation: {:?}", finder.lost).into())
    }
}

struct Finder<'a> {
    file: &'a str,
    path: &'a str,
    /// Sites so far in functions of each name.
    ordinals: BTreeMap<String, u32>,
    sites: Vec<Site>,
    /// Orderings that belong to no operation known here.
    lost: Vec<String>,
}

fn is_punct(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn ident(token: Option<&TokenTree>) -> Option<&Ident> {
    match token {
        Some(TokenTree::Ident(ident)) => Some(ident),
        _ => None,
    }
}

fn group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<&Group> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

impl Finder<'_> {
    /// Walks the tokens of one group. `in_call`: its own orderings are a known operation's, and counted there.
    fn walk(&mut self, tokens: &[TokenTree], function: &str, in_call: bool) {
        let mut function = function.to_string();
        let mut at = 0;
        while at < tokens.len() {
            let token = &tokens[at];
            if let Some(after) = skipped(tokens, at) {
                self.aliases(&tokens[at..after]);
                at = after;
                continue;
            }
            if let (Some(keyword), Some(name)) = (ident(Some(token)), ident(tokens.get(at + 1)))
                && keyword == "fn"
            {
                function = name.to_string();
                at += 2;
                continue;
            }
            if let (Some(name), Some(arguments)) = (ident(Some(token)), group(tokens.get(at + 1), Delimiter::Parenthesis)) {
                let known = self.call(name, arguments, &tokens[..at], &function);
                let inside: Vec<_> = arguments.stream().into_iter().collect();
                self.walk(&inside, &function, known);
                at += 2;
                continue;
            }
            match token {
                TokenTree::Group(group) => self.walk(&group.stream().into_iter().collect::<Vec<_>>(), &function, false),
                TokenTree::Ident(ident) if !in_call && ORDERINGS.iter().any(|order| ident == order) => {
                    self.lost.push(self.place(ident.span()))
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Notes an ordering that is imported by another name: it would not be known again.
    fn aliases(&mut self, tokens: &[TokenTree]) {
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => self.aliases(&group.stream().into_iter().collect::<Vec<_>>()),
                TokenTree::Ident(name)
                    if ORDERINGS.iter().any(|order| name == order) && ident(tokens.get(at + 1)).is_some_and(|word| word == "as") =>
                {
                    self.lost.push(self.place(name.span()));
                }
                _ => {}
            }
        }
    }

    /// Notes a call that is a site; whether its arguments' orderings are accounted for.
    fn call(&mut self, name: &Ident, arguments: &Group, before: &[TokenTree], function: &str) -> bool {
        if ident(before.last()).is_some_and(|keyword| keyword == "fn") {
            return false;
        }
        let orders = orderings(arguments);
        let name_text = name.to_string();
        let variants = match name_text.as_str() {
            "load" | "store" | "swap" | "fetch_add" | "fetch_sub" | "fetch_or" | "fetch_and" | "fetch_xor" => weaker(orders.first()),
            "compare_exchange" | "compare_exchange_weak" => {
                let mut variants = weaker(orders.first());
                if orders.get(1).is_some_and(|failure| failure != "Relaxed") {
                    variants.push("failure_relaxed");
                }
                variants
            }
            "fence" | "compiler_fence" if !orders.is_empty() => vec!["no_fence"],
            "fence_full" | "fence_light" | "fence_heavy" => vec!["no_fence"],
            _ => return false,
        };
        if !variants.is_empty() {
            let shown = orders.join(", ");
            let what = receiver(before).map_or_else(|| format!("{name}({shown})"), |of| format!("{of}.{name}({shown})"));
            let ordinal = self.ordinals.entry(function.to_string()).or_default();
            *ordinal += 1;
            let name_in_table = format!("{function}.{ordinal} {what}");
            let place = self.place(name.span());
            self.sites.push(Site { file: self.file.into(), name: name_in_table, place, variants });
        }
        true
    }

    fn place(&self, span: Span) -> String {
        let start = span.start();
        format!("{}:{}:{}", self.path, start.line, start.column + 1)
    }
}

/// Orderings among the arguments themselves, Relaxed included.
fn orderings(arguments: &Group) -> Vec<String> {
    let found = arguments.stream().into_iter().filter_map(|token| match token {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    });
    found.filter(|word| word == "Relaxed" || ORDERINGS.contains(&word.as_str())).collect()
}

/// What an ordering can be weakened to.
fn weaker(order: Option<&String>) -> Vec<&'static str> {
    match order.map(String::as_str) {
        Some("Acquire" | "Release") => vec!["relaxed"],
        Some("AcqRel" | "SeqCst") => vec!["acquire", "release", "relaxed"],
        _ => vec![],
    }
}

/// What a method is called on: `unread` of `slot.unread().load(…)`.
fn receiver(before: &[TokenTree]) -> Option<String> {
    let (dot, rest) = before.split_last()?;
    if !is_punct(Some(dot), '.') {
        return None;
    }
    let mut rest = rest;
    while let Some((TokenTree::Group(_), earlier)) = rest.split_last() {
        rest = earlier;
    }
    ident(rest.last()).map(ToString::to_string)
}

/// Past what is not the protocol's code: imports, and what is compiled for unit tests only.
fn skipped(tokens: &[TokenTree], at: usize) -> Option<usize> {
    // Not the captures of a type: `impl Trait + use<'a>`.
    if ident(tokens.get(at)).is_some_and(|word| word == "use") && !is_punct(tokens.get(at + 1), '<') {
        return Some(at + 1 + tokens[at..].iter().position(|token| is_punct(Some(token), ';'))?);
    }
    let attribute = group(tokens.get(at + 1), Delimiter::Bracket).filter(|_| is_punct(tokens.get(at), '#'))?;
    if attribute.stream().to_string().replace(' ', "") != "cfg(test)" {
        return None;
    }
    let ends = |token: &TokenTree| is_punct(Some(token), ';') || group(Some(token), Delimiter::Brace).is_some();
    Some(at + 3 + tokens[at + 2..].iter().position(ends)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, String)> {
        let sites = of_text("a.rs", "core/src/a.rs", text).expect("understood");
        sites.iter().flat_map(|site| site.keys().map(|key| (key, site.place.clone()))).collect()
    }

    fn names(text: &str) -> Vec<String> {
        found(text).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn every_kind_of_site_is_found_with_its_variants() {
        let text = "fn f(&self) { self.a().load(Acquire); b.store(load(x), Ordering::Release); c(1).fetch_or(1, AcqRel); \
                    d.compare_exchange(1, 2, Acquire, Acquire); e.fence_light(); m.fence_full(); m.fence(Release); \
                    g.h().fence_heavy(self.os); portable_atomic::compiler_fence(Ordering::SeqCst); z.load(Relaxed); }";
        let expected = [
            "f.1 a.load(Acquire) relaxed",
            "f.2 b.store(Release) relaxed",
            "f.3 c.fetch_or(AcqRel) acquire",
            "f.3 c.fetch_or(AcqRel) release",
            "f.3 c.fetch_or(AcqRel) relaxed",
            "f.4 d.compare_exchange(Acquire, Acquire) relaxed",
            "f.4 d.compare_exchange(Acquire, Acquire) failure_relaxed",
            "f.5 e.fence_light() no_fence",
            "f.6 m.fence_full() no_fence",
            "f.7 m.fence(Release) no_fence",
            "f.8 h.fence_heavy() no_fence",
            "f.9 compiler_fence(SeqCst) no_fence",
        ];
        assert_eq!(names(text), expected);
    }

    #[test]
    fn macros_and_closures_hide_nothing_and_ordinals_go_by_function() {
        let text = "some_macro! { impl A { fn f() { assert!(x.load(Acquire) == 1); || y.load(Acquire) } fn g() { z.load(Acquire) } } }";
        assert_eq!(names(text), ["f.1 x.load(Acquire) relaxed", "f.2 y.load(Acquire) relaxed", "g.1 z.load(Acquire) relaxed"]);
    }

    #[test]
    fn captures_are_no_import() {
        let text = "impl A { fn f<'a>() -> impl B + use<'a> { x.load(Acquire) } fn g() { y.load(Acquire); z(); } }";
        assert_eq!(names(text), ["f.1 x.load(Acquire) relaxed", "g.1 y.load(Acquire) relaxed"]);
    }

    #[test]
    fn a_place_is_the_methods_name() {
        assert_eq!(found("fn f() {\n    a\n        .load(Acquire);\n}")[0].1, "core/src/a.rs:3:10");
    }

    #[test]
    fn tests_and_imports_and_declarations_are_no_sites() {
        let text = "use x::{Acquire, Release}; #[cfg(test)] mod tests { fn f() { a.load(Acquire); } } fn fence_full(&self); \
                    #[cfg(test)] use y; /// load(Acquire)\nfn g() {}";
        assert_eq!(names(text), [""; 0]);
    }

    #[test]
    fn an_ordering_that_no_known_operation_has_is_refused() {
        assert!(of_text("a.rs", "core/src/a.rs", "fn f() { helper(Acquire); }").is_err());
        assert!(of_text("a.rs", "core/src/a.rs", "const O: Ordering = Ordering::SeqCst;").is_err());
        assert!(
            of_text("a.rs", "core/src/a.rs", "use portable_atomic::Ordering::{Relaxed, Release as R}; fn f() { a.store(1, R); }").is_err()
        );
        assert!(of_text("a.rs", "core/src/a.rs", "fn f(order: Ordering) { a.load(order); }").is_ok(), "its callers have the ordering");
    }
}
