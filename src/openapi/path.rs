//! A path of the document as a template; and of one that can be none, the template of all that it could match,
//! so that nothing else is served there in its stead.

use crate::model::template::{PARAMETERS_MAX, Segment, TEMPLATE_BYTES_MAX, Template};

use super::names;
use super::parameters::Parameter;
use super::text::quoted;

/// What it is below the api's base path.
#[derive(Debug)]
pub struct Path<'d> {
    pub text: &'d str,
    pub template: Template,
    /// The parameters' names in the document and in the template.
    pub parameters: Vec<(&'d str, String)>,
}

/// A path that can be no template.
#[derive(Debug)]
pub struct Unusable {
    pub problem: String,
    /// None: no request can have such a path.
    pub cover: Option<Template>,
}

impl<'d> Path<'d> {
    pub fn parse(text: &'d str) -> Result<Self, Unusable> {
        let mut parameters = Vec::new();
        let template = template(text, &mut parameters);
        let template = template.map_err(|problem| Unusable { problem, cover: cover(text) })?;
        Ok(Self { text, template, parameters })
    }

    pub fn undeclared<'p>(
        &'p self,
        declared: &'p [Parameter<'d>],
    ) -> impl Iterator<Item = &'p (&'d str, String)> {
        let is_declared = |wire: &str| declared.iter().any(|p| p.place == "path" && p.name == wire);
        self.parameters.iter().filter(move |(wire, _)| !is_declared(wire))
    }
}

fn template<'d>(
    text: &'d str,
    parameters: &mut Vec<(&'d str, String)>,
) -> Result<Template, String> {
    if text.len() > TEMPLATE_BYTES_MAX {
        return Err(format!("a path has at most {TEMPLATE_BYTES_MAX} bytes"));
    }
    let Some(rest) = text.strip_prefix('/') else {
        return Err("a path starts with '/'".into());
    };
    let segments = rest.split('/').map(|segment| {
        let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
        match name.filter(|name| !name.is_empty() && !name.contains(['{', '}'])) {
            Some(wire) => {
                let name = names::path_parameter(wire);
                parameters.push((wire, name.clone()));
                Ok(format!("/{{{name}}}"))
            }
            None if segment.contains(['{', '}']) => {
                Err(format!("a parameter fills a whole segment, and {} is none", quoted(segment)))
            }
            None => Ok(format!("/{segment}")),
        }
    });
    let written = segments.collect::<Result<String, String>>()?;
    if parameters.len() > PARAMETERS_MAX {
        return Err(format!("a path has at most {PARAMETERS_MAX} parameters"));
    }
    Template::parse(&written).map_err(|error| error.problem.to_string())
}

/// Takes every request that the path could: what is no literal counts as a parameter, and what is too long
/// as a tail.
fn cover(text: &str) -> Option<Template> {
    // What follows these is no path.
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let mut written = String::new();
    let mut parameters = 0;
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        if parameters == PARAMETERS_MAX || written.len() + segment.len() >= TEMPLATE_BYTES_MAX {
            written.push_str("/{rest...}");
            break;
        }
        written.push('/');
        // Requests have neither: the template is refused for them.
        if matches!(segment, "" | "." | "..") || is_literal(segment) {
            written.push_str(segment);
        } else {
            parameters += 1;
            written.push_str(&format!("{{p{parameters}}}"));
        }
    }
    Template::parse(&written).ok()
}

fn is_literal(segment: &str) -> bool {
    let parsed = Template::parse(&format!("/{segment}"));
    parsed.is_ok_and(|template| matches!(&*template.segments, [Segment::Literal(_)]))
}
