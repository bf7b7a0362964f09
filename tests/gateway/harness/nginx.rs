//! A real nginx of the package behind the gate, with a small file, a large one, and a folder to
//! upload to.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::Child;

use super::address;
use super::authority::Issued;
use super::folder::Folder;
use super::poll;
use super::tools;

pub struct Nginx {
    child: Child,
    pub address: SocketAddr,
    folder: Folder,
}

pub const SMALL_BYTES: usize = 1024;
pub const LARGE_BYTES: usize = 100 * 1024 * 1024;

impl Nginx {
    pub fn start() -> Self {
        Self::listening("")
    }

    /// Over TLS, and in HTTP/2 to those who ask for it.
    pub fn secured(shown: &Issued) -> Self {
        let Issued { cert, key, .. } = shown;
        Self::listening(&format!(
            " ssl http2;\n        ssl_certificate {cert};\n        ssl_certificate_key {key}"
        ))
    }

    /// `more` is what stands after the address it listens at.
    fn listening(more: &str) -> Self {
        let folder = Folder::new();
        for name in ["www/up", "tmp"] {
            fs::create_dir_all(folder.path().join(name)).expect("the folder is ours");
        }
        fs::write(folder.at("www/small"), pattern(SMALL_BYTES)).expect("the folder is ours");
        fs::write(folder.at("www/large"), pattern(LARGE_BYTES)).expect("room for 100 MB");
        let address = address::free();
        let mut config = fs::File::create(folder.at("nginx.conf")).expect("the folder is ours");
        config.write_all(conf(address, more, &folder).as_bytes()).expect("the folder is ours");
        let mut command = tools::daemon("nginx");
        command.args(["-e", "stderr", "-p", &folder.at(""), "-c", &folder.at("nginx.conf")]);
        let child = command.spawn().expect("nginx starts");
        poll::until("nginx listens", || TcpStream::connect(address).ok());
        Self { child, address, folder }
    }

    pub fn uploaded(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.at(&format!("www/up/{name}"))).expect("it was uploaded")
    }

    /// The `combined` format, with the request's id at its end.
    pub fn access_log(&self) -> String {
        self.folder.at("tmp/access.log")
    }

    pub fn large_file(&self) -> String {
        self.folder.at("www/large")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers on SIGTERM only.
        let pid = self.child.id().to_string();
        tools::run(std::process::Command::new("kill").arg(&pid), b"");
        drop(self.child.wait());
    }
}

/// Bytes in which a lost or doubled piece shows.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..251).cycle().take(length).collect()
}

fn conf(address: SocketAddr, more: &str, folder: &Folder) -> String {
    let (www, tmp) = (folder.at("www"), folder.at("tmp"));
    format!(
        "daemon off;
user root;
worker_processes 1;
pid {tmp}/pid;
events {{ worker_connections 512; }}
http {{
    log_format combined_id '$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent '
        '\"$http_referer\" \"$http_user_agent\" $http_x_request_id';
    access_log {tmp}/access.log combined_id;
    client_body_temp_path {tmp}/body;
    proxy_temp_path {tmp}/proxy;
    fastcgi_temp_path {tmp}/fastcgi;
    uwsgi_temp_path {tmp}/uwsgi;
    scgi_temp_path {tmp}/scgi;
    client_max_body_size 0;
    keepalive_requests 100000;
    server {{
        listen {address}{more};
        root {www};
        location /up/ {{ dav_methods PUT; }}
    }}
}}
"
    )
}
