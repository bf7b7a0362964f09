//! YAML 1.2 with places, by the events of saphyr-parser: one document, the core schema, keys that are
//! scalars. What an alias repeats counts against the bounds, so aliases cannot blow a document up.

use std::ops::Range;

use ahash::AHashMap;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::Number;

use super::Problem;
use super::node::{Bounds, Content, Entry, Map, Node};

/// How far apart the known places of a text are, in characters.
const STRIDE: usize = 64;

pub fn parse(text: &str) -> Result<Node, Problem> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let places = Places::of(body, text.len() - body.len());
    let mut builder = Builder { places, ..Builder::default() };
    let mut parser = Parser::new_from_str(body);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| builder.places.broken(&error))?;
        builder.event(event, span)?;
    }
    builder.root.ok_or_else(|| Problem::error(0..0, "the document is empty", "write it"))
}

#[derive(Default)]
struct Builder<'t> {
    places: Places<'t>,
    bounds: Bounds,
    /// The collections that are open, outermost first.
    open: Vec<Open>,
    anchors: AHashMap<usize, Anchored>,
    documents: usize,
    root: Option<Node>,
}

struct Open {
    anchor: usize,
    start: usize,
    inside: Inside,
    size: Size,
}

enum Inside {
    List(Vec<Node>),
    Map(Map, Option<(Box<str>, Range<usize>)>),
}

struct Anchored {
    node: Node,
    size: Size,
}

#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    depth: usize,
}

/// Of a text, as much as one value takes.
const COUNTED_BYTES: usize = 64;

const ONE: Size = Size { nodes: 1, depth: 1 };

impl Size {
    /// Of a scalar: a long one that is repeated takes more than a short one.
    const fn of(text: &str) -> Self {
        Self { nodes: 1 + text.len() / COUNTED_BYTES, depth: 1 }
    }
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let at = self.places.range(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second document begins here";
                    return Err(Problem::error(at, message, "keep one document in the file"));
                }
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "map", &at)?;
                self.open(anchor, at, Inside::Map(Map::default(), None))?;
            }
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "seq", &at)?;
                self.open(anchor, at, Inside::List(Vec::new()))?;
            }
            Event::MappingEnd | Event::SequenceEnd => self.close(at)?,
            Event::Scalar(text, style, anchor, tag) => {
                let size = Size::of(&text);
                if self.takes_key(&text, style, &at)? {
                    return self.keep(anchor, || text_node(&text, &at), size, &at);
                }
                let content = scalar(&text, style, tag.as_deref(), &at)?;
                let node = Node { content, at };
                self.keep(anchor, || node.clone(), size, &node.at)?;
                self.place(node, size, Counted::Not)?;
            }
            Event::Alias(anchor) => self.alias(anchor, at)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, anchor: usize, at: Range<usize>, inside: Inside) -> Result<(), Problem> {
        if let Some(Open { inside: Inside::Map(_, None), .. }) = self.open.last() {
            return Err(no_key(at));
        }
        // Before anything is put into it: the depth of the stack is what is bounded here.
        self.bounds.take(1, self.open.len() + 1, &at)?;
        self.open.push(Open { anchor, start: at.start, inside, size: ONE });
        Ok(())
    }

    fn close(&mut self, at: Range<usize>) -> Result<(), Problem> {
        let Some(Open { anchor, start, inside, size }) = self.open.pop() else { return Ok(()) };
        let (content, end) = match inside {
            Inside::List(items) => {
                let end = items.last().map(|item| item.at.end);
                (Content::List(items.into()), end)
            }
            Inside::Map(map, _) => {
                let end = map.entries().last().map(|entry| entry.value.at.end);
                (Content::Map(map), end)
            }
        };
        // The event stands where the next thing begins.
        let end = end.filter(|end| (start..=at.end).contains(end)).unwrap_or(at.end);
        let node = Node { content, at: start..end.max(start) };
        self.keep(anchor, || node.clone(), size, &node.at)?;
        self.place(node, size, Counted::Already)
    }

    /// Takes a scalar as the key that an object waits for.
    fn takes_key(
        &mut self,
        text: &str,
        style: ScalarStyle,
        at: &Range<usize>,
    ) -> Result<bool, Problem> {
        let Some(Open { inside: Inside::Map(_, key @ None), .. }) = self.open.last_mut() else {
            return Ok(false);
        };
        if text == "<<" && style == ScalarStyle::Plain {
            let message = "merge keys (`<<`) are not of YAML 1.2";
            return Err(Problem::error(
                at.clone(),
                message,
                "write the members out, or use `$ref`",
            ));
        }
        *key = Some((text.into(), at.clone()));
        Ok(true)
    }

    /// What an anchor names is kept beside the tree, and counts once more.
    fn keep(
        &mut self,
        anchor: usize,
        node: impl FnOnce() -> Node,
        size: Size,
        at: &Range<usize>,
    ) -> Result<(), Problem> {
        if anchor != 0 {
            self.bounds.take(size.nodes, size.depth, at)?;
            self.anchors.insert(anchor, Anchored { node: node(), size });
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, at: Range<usize>) -> Result<(), Problem> {
        let Some(Anchored { node, size }) = self.anchors.get(&anchor) else {
            let message = "the alias stands inside of what it names";
            return Err(Problem::error(at, message, "use `$ref` for recursion"));
        };
        if let Some(Open { inside: Inside::Map(_, key @ None), .. }) = self.open.last_mut() {
            let Some(text) = node.as_text() else { return Err(no_key(at)) };
            *key = Some((text.into(), at));
            return Ok(());
        }
        let size = *size;
        // Counted before it is copied.
        self.bounds.take(size.nodes, self.open.len() + size.depth, &at)?;
        let node = node.clone();
        self.place(node, size, Counted::Already)
    }

    /// Puts a value where it belongs.
    fn place(&mut self, node: Node, size: Size, counted: Counted) -> Result<(), Problem> {
        if counted == Counted::Not {
            self.bounds.take(size.nodes, self.open.len() + size.depth, &node.at)?;
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.size.nodes += size.nodes;
        open.size.depth = open.size.depth.max(size.depth + 1);
        match &mut open.inside {
            Inside::List(items) => items.push(node),
            Inside::Map(map, key) => {
                let (key, key_at) = key.take().ok_or_else(|| no_key(node.at.clone()))?;
                open.size.nodes += key.len() / COUNTED_BYTES;
                map.insert(Entry { key, key_at, value: node })?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Counted {
    Already,
    Not,
}

fn no_key(at: Range<usize>) -> Problem {
    Problem::error(at, "a key must be a scalar", "write a string")
}

fn text_node(text: &str, at: &Range<usize>) -> Node {
    Node { content: Content::Text(text.into()), at: at.clone() }
}

fn collection_tag(tag: Option<&Tag>, kind: &str, at: &Range<usize>) -> Result<(), Problem> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == kind) => Err(bad_tag(tag, at)),
        Some(_) | None => Ok(()),
    }
}

fn bad_tag(tag: &Tag, at: &Range<usize>) -> Problem {
    let message = format!("the tag {:?} does not fit here", tag.to_string());
    Problem::error(at.clone(), message, "leave the tag out")
}

/// A scalar by the core schema (YAML 1.2.2, 10.3.2).
fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    at: &Range<usize>,
) -> Result<Content, Problem> {
    let of_text = || Content::Text(text.into());
    let Some(tag) = tag else {
        return Ok(if style == ScalarStyle::Plain { plain(text) } else { of_text() });
    };
    let kind = tag.suffix.as_str();
    if tag.is_yaml_core_schema() && kind == "str" || tag.handle.is_empty() && kind == "!" {
        return Ok(of_text());
    }
    let content = plain(text);
    let fits = match &content {
        Content::Null => kind == "null",
        Content::Bool(_) => kind == "bool",
        Content::Number(number) => kind == "float" || kind == "int" && !number.is_f64(),
        Content::Text(_) | Content::List(_) | Content::Map(_) => false,
    };
    if tag.is_yaml_core_schema() && fits { Ok(content) } else { Err(bad_tag(tag, at)) }
}

/// Numbers that JSON has not, such as `.inf` and `7e10000`, are texts: hashes and versions look like them.
fn plain(text: &str) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        _ => {
            let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
            let is_one = is_number(unsigned) || radix(text).is_some();
            let number = is_one.then(|| number(text)).flatten();
            number.map_or_else(|| Content::Text(text.into()), Content::Number)
        }
    }
}

fn radix(text: &str) -> Option<(&str, u32)> {
    let digits = |rest: &str, radix| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix));
    let octal = text.strip_prefix("0o").filter(|rest| digits(rest, 8)).map(|rest| (rest, 8));
    octal.or_else(|| text.strip_prefix("0x").filter(|rest| digits(rest, 16)).map(|rest| (rest, 16)))
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_number(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let good_exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(part) && !(whole.is_empty() && part.is_empty()) && good_exponent
}

fn number(text: &str) -> Option<Number> {
    if let Some((digits, radix)) = radix(text) {
        return u64::from_str_radix(digits, radix).ok().map(Number::from);
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let whole = unsigned.parse::<u64>().map(Number::from);
    let whole = whole.or_else(|_| unsigned.parse::<i64>().map(Number::from));
    whole.ok().or_else(|| Number::from_f64(unsigned.parse().ok()?))
}

/// From characters, in which the parser counts, to bytes.
#[derive(Default)]
struct Places<'t> {
    text: &'t str,
    /// Where `text` begins in the document.
    start: usize,
    /// The byte of every so many characters; empty for ASCII.
    known: Vec<usize>,
}

impl<'t> Places<'t> {
    fn of(text: &'t str, start: usize) -> Self {
        let known = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().step_by(STRIDE).map(|(byte, _)| byte).collect()
        };
        Self { text, start, known }
    }

    fn byte(&self, character: usize) -> usize {
        let Some(from) = self.known.get(character / STRIDE) else {
            let ascii = if self.known.is_empty() { character } else { self.text.len() };
            return self.start + ascii.min(self.text.len());
        };
        let rest = self.text.get(*from..).unwrap_or_default();
        let after = rest.char_indices().nth(character % STRIDE).map_or(rest.len(), |(at, _)| at);
        self.start + from + after
    }

    fn range(&self, span: Span) -> Range<usize> {
        let (start, end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        start..end.max(start)
    }

    fn broken(&self, error: &ScanError) -> Problem {
        let at = self.byte(error.marker().index());
        Problem::error(at..at, format!("this is not YAML: {}", error.info()), "mend the syntax")
    }
}
