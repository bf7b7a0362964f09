//! How to read the page and how to distrust it, as parts of it. `loadtest/README.md` says the same
//! with more words.

pub const READ: &str = r#"<h2>How to read this</h2>
<ul>
<li>The loop is open: requests are due by a schedule that does not wait for answers, and time counts from when a request was due. A server that stalls is charged for all who came meanwhile.</li>
<li>Look at the knee first, then at p99 well to the left of it. Right of the knee a queue grows for as long as the run lasts, so latencies there say how long the run was.</li>
<li>Dots are medians over rounds and whiskers the least and the most. Where the whiskers of two servers overlap, this sweep does not say which is faster.</li>
<li>A hollow dot is not valid: the generator was late or had no CPU left, so it measured itself; or other programs took more than a quarter of a CPU.</li>
<li>A failed request counts as one that took the whole timeout. Nothing is left out of a curve.</li>
<li>The stub is the upstream alone, without a server before it: what lies near its line is the harness.</li>
</ul>
"#;

pub const DISTRUST: &str = r#"<h2>How to distrust this</h2>
<ul>
<li>Everything ran on one machine. Generator, stub and server share caches, memory and the kernel, and on two CPUs generator and stub share one CPU too.</li>
<li>Loopback has no loss, no delay and no network card. Latencies are those of processes, not those that callers see.</li>
<li>A virtual machine shares its CPUs with strangers. Look at the noise probes, at what was stolen and at the CPUs of others; p99 and p99.9 move by factors when a neighbour wakes up. Trust p50, and of p99 the least over the rounds.</li>
<li>Each server had one worker thread. Nothing here says how any of them grows with cores.</li>
<li>Absolute figures are of this machine and this hour. Compare within the page, never across pages.</li>
<li>Plain HTTP/1.1 with keep-alive, small answers, no request bodies, no TLS. Other traffic has other curves.</li>
<li>nginx does the same task with fewer promises: one limit instead of two, no scopes, no metrics by client, a log that may lose its buffer.</li>
</ul>
"#;
