//! `security_headers` of an api.

use std::time::Duration;

use http::{HeaderName, HeaderValue, header};

use super::super::super::section::{Section, Switch};
use crate::model::shape::security::Security;

const DAY: Duration = Duration::from_hours(24);

/// Whether pages may show a response in a frame.
#[derive(Clone, Copy)]
enum Frame {
    Deny,
    SameOrigin,
    Allow,
}

pub(super) fn security(section: &mut Section<'_>) -> Option<Security> {
    let switch = section.switch("security_headers");
    let is_on = matches!(switch, Some(Switch::On(_)));
    let mut section = match switch {
        Some(Switch::On(section)) => section,
        Some(Switch::Off) | None => section.absent_table("security_headers"),
    };
    let hsts = section.quantity("hsts", Duration::ZERO..=1000 * DAY).unwrap_or(730 * DAY);
    let frames =
        [("deny", Frame::Deny), ("same-origin", Frame::SameOrigin), ("allow", Frame::Allow)];
    let frame = section.choice("frame", &frames).unwrap_or(Frame::Deny);
    let policies = REFERRER_POLICIES.map(|policy| (policy, policy));
    let referrer_policy = section.choice("referrer_policy", &policies).unwrap_or("no-referrer");
    section.finish();
    let hsts = (!hsts.is_zero()).then(|| {
        let text = format!("max-age={}", hsts.as_secs());
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("max-age=0"))
    });
    let fixed = HeaderValue::from_static;
    let mut fields: Vec<(HeaderName, HeaderValue)> = vec![
        (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        (header::REFERRER_POLICY, fixed(referrer_policy)),
    ];
    let frame = match frame {
        Frame::Deny => Some(("DENY", "frame-ancestors 'none'")),
        Frame::SameOrigin => Some(("SAMEORIGIN", "frame-ancestors 'self'")),
        Frame::Allow => None,
    };
    if let Some((options, policy)) = frame {
        fields.push((header::X_FRAME_OPTIONS, fixed(options)));
        fields.push((header::CONTENT_SECURITY_POLICY, fixed(policy)));
    }
    is_on.then(|| Security { fields: fields.into(), hsts })
}

const REFERRER_POLICIES: [&str; 4] =
    ["no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"];
