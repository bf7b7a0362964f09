//! What a record costs: on a worker thread (reserve and complete), on the recorder's (encode, write), and those who read
//! the log (scan, verify).
#![allow(clippy::expect_used, reason = "a benchmark stops at a surprise")]

use std::hint::black_box;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use onegate::audit::filter::Filter;
use onegate::audit::line::Encoder;
use onegate::audit::proof::key::PublicKey;
use onegate::audit::query;
use onegate::audit::sealed::{self, Unsealed};
use onegate::audit::verify;
use onegate::audit::{self, AuditLog};
use onegate::model::api::{Access, ApiFacts, Durability, Metering, Methods, Operation};
use onegate::model::client::{Credential, Status};
use onegate::model::id::{
    ApiName, ClientId, CredentialId, OperationId, ProductName, ProfileName, RequestId, Scope,
    UpstreamName,
};
use onegate::model::policy::{AuditSettings, OnFailure};
use onegate::model::proof::Proof;
use onegate::model::record::{Caller, End, Outcome, RequestRecord, Surface};
use onegate::model::template::Template;
use onegate::model::time::UnixMicros;
use onegate::model::upstream::Address;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

criterion_group!(benches, encode, reserve_and_complete, write, scan, seal);
criterion_main!(benches);

fn encode(criterion: &mut Criterion) {
    let mut encoder = Encoder::for_boot("gate-1.example.com", UnixMicros(1_772_366_400_000_000), 7);
    let entry = Sample::new().entry();
    let mut out = Vec::with_capacity(4096);
    encoder.request(&mut out, 1, &entry);
    let mut group = criterion.benchmark_group("audit");
    group.throughput(Throughput::Bytes(out.len() as u64));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            encoder.request(&mut out, black_box(1_000_000), black_box(&entry));
            out.len()
        });
    });
    group.finish();
}

/// With the recorder at work beside it. It writes millions of records in the time that is measured,
/// gigabytes, so the files that are full are removed on the way, by the recorder's own thread.
fn reserve_and_complete(criterion: &mut Criterion) {
    let directory = Directory::new("queue");
    let path = directory.0.clone();
    let mut written = 0_u64;
    let observer = move |_: &RequestRecord| {
        written += 1;
        if written.is_multiple_of(RECORDS_PER_LOOK) {
            remove_full_files(&path);
        }
    };
    let (log, recorder) =
        audit::open(&directory.0, &directory.0, SETTINGS, "gate-1", observer).expect("a log");
    let sample = Sample::new();
    let record = |(log, entry): (&AuditLog, Box<RequestRecord>)| {
        if let Some(slot) = log.reserve() {
            slot.complete(entry);
        }
    };
    criterion.bench_function("audit/reserve_and_complete", |bencher| {
        bencher.iter_batched(|| (&log, sample.entry()), record, BatchSize::SmallInput);
    });
    criterion.bench_function("audit/reserve_and_leave", |bencher| {
        bencher.iter(|| drop(black_box(log.reserve())));
    });
    recorder.close().expect("a disk with room");
}

/// Entries from the queue to the file, with all that proves them: what the recorder's thread takes in.
fn write(criterion: &mut Criterion) {
    const ENTRIES: u64 = 50_000;
    let directory = Directory::new("write");
    let (log, recorder) =
        audit::open(&directory.0, &directory.0, SETTINGS, "gate-1", |_| ()).expect("a log");
    let sample = Sample::new();
    let mut group = criterion.benchmark_group("audit");
    group.throughput(Throughput::Elements(ENTRIES)).sample_size(10);
    group.bench_function("write", |bencher| {
        let entries = || (0..ENTRIES).map(|_| sample.entry()).collect::<Vec<_>>();
        let write = |entries: Vec<Box<RequestRecord>>| {
            for entry in entries {
                log.reserve().expect("room").complete(entry);
            }
            log.flush(Duration::from_mins(1)).expect("written");
        };
        bencher.iter_batched(entries, write, BatchSize::PerIteration);
    });
    group.finish();
    recorder.close().expect("a disk with room");
    remove_full_files(&directory.0);
}

/// A question to a log of 100,000 records that none answers: every line is read and refused.
fn scan(criterion: &mut Criterion) {
    let directory = Directory::new("scan");
    let directory = &directory.0;
    let (log, recorder) =
        audit::open(directory, directory, SETTINGS, "gate-1", |_| ()).expect("a log");
    let sample = Sample::new();
    for _ in 0..100_000 {
        log.reserve().expect("room").complete(sample.entry());
    }
    recorder.close().expect("a disk with room");
    let files = std::fs::read_dir(directory).expect("our own directory");
    let is_of_log =
        |file: &std::fs::DirEntry| file.path().extension().is_some_and(|e| e == "jsonl");
    let lines = files.flatten().filter(is_of_log).filter_map(|file| file.metadata().ok());
    let bytes = lines.map(|about| about.len()).sum();
    let key = std::fs::read_to_string(directory.join("audit.pub")).expect("our own directory");
    let key = PublicKey::parse(key.trim()).expect("our own key");
    let filter = Filter { path: "/api/payments/7".parse().ok(), ..Filter::default() };
    let mut group = criterion.benchmark_group("audit");
    group.throughput(Throughput::Bytes(bytes)).sample_size(10);
    group.bench_function("verify", |bencher| {
        bencher.iter(|| verify::verify(directory, &key, &[]).expect("reads").records);
    });
    group.bench_function("scan", |bencher| {
        bencher
            .iter(|| query::scan(directory, &filter, None, |_, _| Ok(())).expect("reads").records);
    });
    group.finish();
}

/// A finished file of 100,000 records that differ as those of a busy gate do, sealed, and read back as lines. How many bytes of
/// the sealed file a record has is printed beside.
#[expect(clippy::print_stdout, reason = "a figure that is no time")]
fn seal(criterion: &mut Criterion) {
    const RECORDS: u64 = 100_000;
    let directory = Directory::new("seal");
    let directory = &directory.0;
    let (log, recorder) =
        audit::open(directory, directory, SETTINGS, "gate-1", |_| ()).expect("a log");
    let mut random = SmallRng::seed_from_u64(7);
    let samples: Vec<_> = (0..100).map(Sample::of_client).collect();
    for n in 0..RECORDS {
        let sample = samples.choose(&mut random).expect("there are some");
        log.reserve().expect("room").complete(sample.varied_entry(n, &mut random));
        if n % 1000 == 0 {
            // As a busy gate's: thousands of records for each batch that is committed.
            log.flush(Duration::from_mins(1)).expect("written");
        }
    }
    recorder.close().expect("a disk with room");
    let files = std::fs::read_dir(directory).expect("our own directory").flatten();
    let paths = files.map(|file| file.path());
    let lines = paths.filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
    let lines = lines.max_by_key(|path| path.metadata().map(|about| about.len()).ok());
    let (lines, sealed) = (lines.expect("a file"), directory.join("sealed"));
    let seal = || {
        drop(std::fs::remove_file(&sealed));
        sealed::make(&lines, &sealed, &|| false).expect("a whole file")
    };
    let made = seal();
    println!("audit/seal: {} bytes for {} records", made.sealed.bytes, made.records);
    let mut group = criterion.benchmark_group("audit");
    group.throughput(Throughput::Bytes(made.lines.bytes)).sample_size(10);
    group.bench_function("seal", |bencher| bencher.iter(seal));
    group.bench_function("unseal", |bencher| {
        let unseal = || sealed::content(Unsealed::open(&sealed).expect("sealed"), &|| false);
        bencher.iter(unseal);
    });
    group.finish();
}

/// A directory within the build's own, gone at the end. A benchmark that is interrupted leaves it;
/// its name is always the same, so the next one begins by removing it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-audit-{name}"));
        if path.exists() {
            std::fs::remove_dir_all(&path).expect("our own directory");
        }
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What stays is removed by the next run.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// All but the last, which is being written: names are in the order of writing.
fn remove_full_files(directory: &Path) {
    let files = std::fs::read_dir(directory).expect("our own directory");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    paths.pop();
    for path in paths {
        std::fs::remove_file(path).expect("our own file");
    }
}

/// About half a file.
const RECORDS_PER_LOOK: u64 = 50_000;

const SETTINGS: AuditSettings = AuditSettings {
    queue_records_max: 1 << 20,
    flush_interval: Duration::from_millis(20),
    segment_bytes_max: 64 << 20,
    segment_age_max: Duration::from_hours(24),
    on_failure: OnFailure::Gap,
    denials_per_source: 1_000_000,
};

/// What all sample records share, as requests share a snapshot.
struct Sample {
    number: u8,
    credential: Arc<Credential>,
    operation: Arc<Operation>,
    policy: Arc<str>,
}

impl Sample {
    fn new() -> Self {
        Self::of_client(0)
    }

    fn of_client(number: u8) -> Self {
        let api = ApiName::parse("payments").expect("a name");
        let credential = Credential {
            id: CredentialId::parse(&format!("{number:012}")).expect("an id"),
            client: ClientId::parse(&format!("client-{number}")).expect("a name"),
            profile: ProfileName::parse("default").expect("a name"),
            secret_sha256: [7; 32],
            proof: Proof::default(),
            status: Status::Active,
            expires: None,
            suspended_until: None,
            holder: None,
            facts: OnceLock::new(),
        };
        let operation = Operation {
            id: OperationId::join(&api, "get_payment").expect("a name"),
            api: Arc::new(ApiFacts { name: api, access: Access::Granted }),
            methods: Methods::Any,
            template: Template::parse("/payments/{id}").expect("a template"),
            scopes: Box::new([Scope::parse("payments:read").expect("a scope")]),
            body_bytes_max: 1,
            durability: Durability::Standard,
            metering: Metering::All,
            shape: None,
            products: Box::new([]),
            facts: OnceLock::new(),
        };
        Self {
            number,
            credential: Arc::new(credential),
            operation: Arc::new(operation),
            policy: "0123456789abcdef+17".into(),
        }
    }

    /// One of many: another id, time, trace, path, duration and size, and an address for each client.
    fn varied_entry(&self, n: u64, random: &mut SmallRng) -> Box<RequestRecord> {
        let micros = 1_772_366_400_000_000 + n * 20 + random.random_range(0..20);
        let upstream_us = random.random_range(500..3000);
        let address = Some(IpAddr::from([203, 0, 113, self.number]));
        Box::new(RequestRecord {
            id: RequestId::from_parts(micros / 1000, random.random()),
            time: UnixMicros(i64::try_from(micros).expect("small")),
            peer_ip: address,
            source_ip: address,
            path: format!("/api/payments/pay_{}", random.random_range(0..100_000)).into(),
            duration_us: upstream_us + random.random_range(80..300),
            upstream_us: Some(upstream_us),
            response_bytes: random.random_range(200..4000),
            trace_id: random.random(),
            ..*self.entry()
        })
    }

    fn entry(&self) -> Box<RequestRecord> {
        Box::new(RequestRecord {
            id: RequestId::from_parts(1_772_366_400_000, [0xa5; 10]),
            time: UnixMicros(1_772_366_400_123_456),
            surface: Surface::Rest,
            caller: Caller::Known(Arc::clone(&self.credential)),
            peer_ip: Some(IpAddr::from([10, 0, 0, 1])),
            source_ip: Some(IpAddr::from([203, 0, 113, 7])),
            method: Some(http::Method::GET),
            host: "api.example.com".into(),
            path: "/api/payments/pay_0123456789".into(),
            api: Some(self.operation.api.name.clone()),
            operation: Some(Arc::clone(&self.operation)),
            product: ProductName::parse("payments-read").ok(),
            outcome: Outcome::Allowed,
            reason: None,
            limit: None,
            shadow_limit: None,
            braked: None,
            status: 200,
            upstream: UpstreamName::parse("payments").ok(),
            endpoint: Some(Address::Inet(([10, 0, 0, 9], 8080).into())),
            end: End::Complete,
            duration_us: 1234,
            upstream_us: Some(1000),
            request_bytes: 0,
            response_bytes: 1024,
            policy: Arc::clone(&self.policy),
            trace_id: [0xab; 16],
            parent_request_id: None,
            access: None,
            mcp: None,
        })
    }
}
