//! What a config may ask of the gate beyond key, scope and rates, one by one: as a line of config, and
//! where the line stands. What it costs is measured elsewhere.

/// One thing that a config may ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
#[repr(u8)]
pub enum Feature {
    Quota,
    Concurrency,
    RateByCredential,
    RateOfOperation,
    ShadowRate,
    AccessLog,
    AnonymousLimit,
    HealthChecks,
    ConnectionsMax,
    LeastRequests,
    HashByPath,
    IpRules,
    FieldRules,
    FieldEdits,
    Cors,
    SecurityHeaders,
    Compression,
    Http2Listener,
}

/// Where a feature's line stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Section {
    /// A section of its own, which there is only once.
    Whole,
    Listener,
    Upstream,
    Api,
    Plan,
    /// Among a plan's rates.
    Rates,
}

impl Feature {
    pub const ALL: [Self; 18] = [
        Self::Quota,
        Self::Concurrency,
        Self::RateByCredential,
        Self::RateOfOperation,
        Self::ShadowRate,
        Self::AccessLog,
        Self::AnonymousLimit,
        Self::HealthChecks,
        Self::ConnectionsMax,
        Self::LeastRequests,
        Self::HashByPath,
        Self::IpRules,
        Self::FieldRules,
        Self::FieldEdits,
        Self::Cors,
        Self::SecurityHeaders,
        Self::Compression,
        Self::Http2Listener,
    ];

    /// What it says in a config.
    pub const fn line(self) -> (Section, &'static str) {
        match self {
            Self::Quota => (Section::Plan, r#"quotas = [{ limit = 1000000000, per = "month" }]"#),
            Self::Concurrency => (Section::Plan, "concurrency = 1000"),
            Self::RateByCredential => {
                let rate = r#"{ name = "key", limit = 500000, per = "1s", by = "credential" },"#;
                (Section::Rates, rate)
            }
            Self::RateOfOperation => {
                let rate = r#"{ name = "one", limit = 500000, per = "1s", operations = ["load.payment"] },"#;
                (Section::Rates, rate)
            }
            Self::ShadowRate => {
                let rate = r#"{ name = "shadow", limit = 500000, per = "1s", shadow = true },"#;
                (Section::Rates, rate)
            }
            Self::AccessLog => (Section::Whole, "[access_log]\npath = \"access.log\""),
            Self::AnonymousLimit => {
                (Section::Whole, "[limits.anonymous]\nlimit = 100\nper = \"1s\"")
            }
            Self::HealthChecks => {
                (Section::Upstream, r#"health = { check = "tcp", interval = "1s" }"#)
            }
            Self::ConnectionsMax => (Section::Upstream, "connections_max = 1000"),
            Self::LeastRequests => (Section::Upstream, r#"balance = "least_requests""#),
            Self::HashByPath => (Section::Upstream, r#"balance = "hash:path""#),
            Self::IpRules => (Section::Api, r#"ip = { deny = ["192.0.2.0/24"] }"#),
            Self::FieldRules => {
                let rules = "blocked_paths = [\"/**/.git/**\"]\nrequired_headers = [\"user-agent\"]\n\
                             forbidden_headers = [\"x-debug\"]\ncontent_types = [\"application/json\"]";
                (Section::Api, rules)
            }
            Self::FieldEdits => {
                let edits = r#"headers = { request = { set = { "X-Tenant" = "load" } }, response = { set = { "Cache-Control" = "no-store" } } }"#;
                (Section::Api, edits)
            }
            Self::Cors => (Section::Api, r#"cors = { origins = ["https://app.example.com"] }"#),
            Self::SecurityHeaders => (Section::Api, "security_headers = true"),
            Self::Compression => (Section::Api, r#"compression = { algorithms = ["gzip"] }"#),
            Self::Http2Listener => (Section::Listener, "http2 = true"),
        }
    }

    /// Whether the measured request can do without it while the config has it.
    pub fn can_be_elsewhere(self) -> bool {
        self.line().0 != Section::Whole
    }
}

/// Some of the features.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Features(u32);

impl Features {
    /// What a plan can promise and an operator would switch on everywhere: "everything on" of the
    /// promise on instructions.
    pub fn everything() -> Self {
        [
            Feature::Quota,
            Feature::Concurrency,
            Feature::AccessLog,
            Feature::AnonymousLimit,
            Feature::HealthChecks,
            Feature::ConnectionsMax,
            Feature::IpRules,
        ]
        .into_iter()
        .collect()
    }

    pub const fn contain(self, feature: Feature) -> bool {
        self.0 & (1 << feature as u8) != 0
    }

    /// The lines of one section, one after the other.
    fn lines(self, section: Section) -> String {
        let lines = Feature::ALL.into_iter().filter(|feature| self.contain(*feature));
        let lines = lines.map(Feature::line).filter(|(of, _)| *of == section);
        lines.map(|(_, line)| format!("{line}\n")).collect()
    }
}

impl FromIterator<Feature> for Features {
    fn from_iter<T: IntoIterator<Item = Feature>>(features: T) -> Self {
        Self(features.into_iter().fold(0, |all, feature| all | 1 << feature as u8))
    }
}

/// How much more than key, scope and rates there is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Governance {
    /// For the measured request.
    pub here: Features,
    /// In the same config, for another listener, upstream, api or plan.
    pub elsewhere: Features,
}

impl Governance {
    pub fn lines_here(&self, section: Section) -> String {
        self.here.lines(section)
    }

    pub fn lines_elsewhere(&self, section: Section) -> String {
        self.elsewhere.lines(section)
    }

    pub const fn is_elsewhere(&self) -> bool {
        self.elsewhere.0 != 0
    }

    /// For the name of what is measured.
    pub fn in_words(&self) -> String {
        match self.here.0.count_ones() {
            0 => String::new(),
            count => format!(" + {count} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_in_their_section() {
        let some: Features = [Feature::Quota, Feature::Cors].into_iter().collect();
        let governance = Governance { here: some, elsewhere: Features::default() };
        assert_eq!(governance.lines_here(Section::Plan).lines().count(), 1);
        assert_eq!(governance.lines_here(Section::Api).lines().count(), 1);
        assert_eq!(governance.lines_here(Section::Upstream), "");
        assert!(!governance.is_elsewhere());
    }

    #[test]
    fn each_feature_has_a_bit_of_its_own() {
        for (at, feature) in Feature::ALL.into_iter().enumerate() {
            assert_eq!(feature as usize, at, "{feature:?}");
        }
    }
}
