//! nginx as edge teams use it for the same task: a map from key to client, `limit_req` by
//! client, the key taken out, a JSON line per request. One process, so that its CPU time is in one place.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Result;
use crate::process::Prefix;
use crate::scratch::Scratch;

pub(super) fn command(
    prefix: &Prefix,
    scratch: &Scratch,
    address: SocketAddr,
    upstream: SocketAddr,
    keys: &[String],
) -> Result<Command> {
    let place = scratch.directory("nginx")?;
    let config = scratch.write("nginx.conf", &config(&place, address, upstream, keys))?;
    let mut command = prefix.command(&program());
    command.arg("-p").arg(&place).arg("-c").arg(config).args(["-e", "stderr"]);
    Ok(command)
}

/// Debian has it in a folder that is not on everyone's path.
pub fn program() -> PathBuf {
    let usual = PathBuf::from("/usr/sbin/nginx");
    if usual.exists() { usual } else { "nginx".into() }
}

/// Empties the log: a sweep would fill the disk. nginx appends, so it goes on at the beginning.
pub(super) fn forget_records(scratch: &Scratch) {
    // Without a log there is nothing to empty.
    drop(std::fs::File::options().write(true).truncate(true).open(scratch.file("nginx/audit.log")));
}

fn config(place: &Path, address: SocketAddr, upstream: SocketAddr, keys: &[String]) -> String {
    let place = place.display();
    let client = |(number, key): (usize, &String)| {
        format!("        \"Bearer {key}\" \"load-{number:05}\";\n")
    };
    let clients: String = keys.iter().enumerate().map(client).collect();
    format!(
        r#"daemon off;
master_process off;
pid {place}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    map_hash_bucket_size 256;
    map_hash_max_size 65536;
    map $http_authorization $client {{
        default "";
{clients}    }}
    limit_req_zone $client zone=clients:10m rate=500000r/s;
    log_format audit escape=json '{{"time":"$time_iso8601","id":"$request_id","client":"$client",'
        '"peer_ip":"$remote_addr","method":"$request_method","host":"$host","path":"$uri",'
        '"status":$status,"response_bytes":$bytes_sent,"duration":$request_time,'
        '"upstream":"$upstream_addr","upstream_time":"$upstream_response_time"}}';
    access_log {place}/audit.log audit buffer=64k flush=1s;
    keepalive_requests 1000000000;
    upstream stub {{
        server {upstream};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address} backlog=4096;
        location / {{
            if ($client = "") {{ return 401; }}
            limit_req zone=clients burst=10000 nodelay;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "";
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header X-Onegate-Client $client;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $host;
            proxy_pass http://stub;
        }}
    }}
}}
"#
    )
}
