//! Calls of the tools that stand for all others. A search and a description are answered here, for the plan's rate;
//! a call through one of them goes on as the call of the tool that it names.

use std::sync::Arc;

use pingora::Result;

use crate::clock;
use crate::mcp::envelope::ToolCall;
use crate::mcp::json::read::Raw;
use crate::mcp::meta::{self, Inner, Search};
use crate::mcp::outcome;
use crate::model::denial::{Denial, Refusal};
use crate::model::mcp::{MetaTool, Method};
use crate::model::tool::{Output, Tool};
use crate::request::authorize;
use crate::request::endpoint::{Entered, Tried};
use crate::request::limit::Admitted;

use super::call::{self, To};
use super::serving::{Reply, Serving, Under};

/// Names that are told beside one that is none.
const NEAR_MAX: usize = 3;

pub async fn serve(
    mut serving: Serving<'_>,
    under: Under<'_>,
    entered: Entered,
    (meta, call): (MetaTool, &ToolCall<'_>),
    to: To<'_>,
) -> Result<()> {
    serving.note_arguments(call.arguments);
    match meta {
        MetaTool::Search => match Search::read(call.arguments) {
            Ok(search) => find(serving, under, entered, (&search, to)).await,
            Err(bad) => call::unfit(serving, under, entered, (Tried::Method, to, &bad)).await,
        },
        MetaTool::Describe => match meta::name_of(call.arguments) {
            Ok(name) => describe(serving, under, entered, (&name, to)).await,
            Err(bad) => call::unfit(serving, under, entered, (Tried::Method, to, &bad)).await,
        },
        MetaTool::CallRead | MetaTool::CallWrite => {
            let inner = match Inner::read(call.arguments) {
                Ok(inner) => inner,
                Err(bad) => {
                    return call::unfit(serving, under, entered, (Tried::Method, to, &bad)).await;
                }
            };
            let Some(tool) = under.mcp.catalogue.get(&inner.name) else {
                return match serving.admit(under, entered, (Method::CallTool, Tried::NoTool)) {
                    Ok(admitted) => unknown(serving, under, &admitted, (&inner.name, to)).await,
                    Err(refusal) => serving.refuse(Some(to.id), refusal).await,
                };
            };
            serving.note_inner(meta, tool);
            // What is not granted is refused for that, as by its own name.
            if let Err(bad) = meta::stands_for(meta, tool)
                && is_granted(&entered, tool)
            {
                let tried = Tried::Tool(&tool.operation);
                return call::unfit(serving, under, entered, (tried, to, &bad)).await;
            }
            let Inner { name, arguments } = inner;
            let call = ToolCall { name, arguments, progress_token: call.progress_token };
            call::serve(serving, under, entered, (&call, to)).await
        }
    }
}

/// Whether it is neither a grant nor a scope that a call lacks: what lacks one now is refused under this snapshot
/// whenever it is judged.
fn is_granted(entered: &Entered, tool: &Tool) -> bool {
    match authorize::may(entered.known(), &tool.operation, tool.effect(), clock::now()) {
        Ok(_) => true,
        Err(refusal) => !matches!(refusal.denial, Denial::NotGranted | Denial::InsufficientScope),
    }
}

async fn find(
    mut serving: Serving<'_>,
    under: Under<'_>,
    entered: Entered,
    (search, to): (&Search<'_>, To<'_>),
) -> Result<()> {
    let admitted = match serving.admit(under, entered, (Method::CallTool, Tried::Method)) {
        Ok(admitted) => admitted,
        Err(refusal) => return serving.refuse(Some(to.id), refusal).await,
    };
    let found = serving.look_for(under, &admitted, &search.query, search.most);
    serving.answer_text(to, &meta::found(&found)).await
}

async fn describe(
    mut serving: Serving<'_>,
    under: Under<'_>,
    entered: Entered,
    (name, to): (&str, To<'_>),
) -> Result<()> {
    let admitted = match serving.admit(under, entered, (Method::CallTool, Tried::Method)) {
        Ok(admitted) => admitted,
        Err(refusal) => return serving.refuse(Some(to.id), refusal).await,
    };
    let tool = under.mcp.catalogue.get(name).filter(|tool| {
        serving.sight(under, &admitted.call()).is_some_and(|sight| sight.sees(tool))
    });
    match tool {
        Some(tool) => {
            let text = meta::described(tool, under.mcp.bounds.result_bytes_max);
            serving.answer_text(to, &text).await
        }
        None => unknown(serving, under, &admitted, (name, to)).await,
    }
}

/// Answers a name that is none for this caller.
async fn unknown(
    serving: Serving<'_>,
    under: Under<'_>,
    admitted: &Admitted,
    (name, to): (&str, To<'_>),
) -> Result<()> {
    let words = name.replace(['_', '-', '.', '/'], " ");
    let near = serving.look_for(under, admitted, &words, NEAR_MAX);
    let bad = meta::unknown(name, &near);
    let refusal = Refusal::new(Denial::NotFound, "there is no such operation for the caller");
    call::not_made(serving, refusal, (to, &bad)).await
}

impl Serving<'_> {
    fn note_arguments(&mut self, arguments: Option<Raw<'_>>) {
        let Some(request) = &mut self.ctx.request else { return };
        if let Some(detail) = &mut request.mcp {
            let arguments = arguments.map_or("", Raw::get);
            detail.args_digest = Some(self.shared.args_key.digest(arguments.as_bytes()));
        }
    }

    /// From here on the record is the operation's.
    fn note_inner(&mut self, meta: MetaTool, tool: &Tool) {
        let Some(request) = &mut self.ctx.request else { return };
        if let Some(detail) = &mut request.mcp {
            (detail.tool, detail.via) = (Some(tool.name.clone()), Some(meta.name()));
        }
    }

    /// The tools that a question means, among those that the caller may call.
    fn look_for<'s>(
        &self,
        under: Under<'s>,
        admitted: &Admitted,
        query: &str,
        most: usize,
    ) -> Vec<&'s Tool> {
        let Some(sight) = self.sight(under, &admitted.call()) else { return Vec::new() };
        let catalogue = &under.mcp.catalogue;
        let at = |at: usize| catalogue.tools().get(at).map(Arc::as_ref);
        let visible = |index: usize| at(index).is_some_and(|tool| sight.sees(tool));
        let hits = catalogue.index().search(query, visible, most);
        hits.into_iter().filter_map(|hit| at(hit.index)).collect()
    }

    async fn answer_text(self, to: To<'_>, text: &str) -> Result<()> {
        let Some(request) = &self.ctx.request else { return Ok(()) };
        let request_id = request.id.to_text();
        let body = outcome::of_text(call::of(to, Output::Untold, &request_id), text);
        let mut serving = self;
        serving.answer(Reply::Json(200, body.into())).await
    }
}
