//! Takes calls over HTTP, keeps them, and answers as a test says.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A call that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The names of the parameters.
    pub(crate) query: BTreeSet<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

/// Keeps what arrives.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: String,
    sent: Arc<Mutex<Vec<Sent>>>,
    answer: Arc<Mutex<(u16, String)>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let receiver = Self { address, sent: Arc::default(), answer: Arc::default() };
        let taking = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                taking.take_one(stream).await;
            }
        });
        receiver
    }

    /// Answers like this from now on; a text as it is, and nothing as nothing.
    pub(crate) fn answers(&self, status: u16, answer: &Value) {
        let text = match answer {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        *self.answer.lock().unwrap() = (status, text);
    }

    /// What arrived since the last time.
    pub(crate) fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }

    async fn take_one(&self, mut stream: TcpStream) {
        let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
        let sent = loop {
            let length = stream.read(&mut part).await.unwrap();
            assert_ne!(length, 0, "the call was cut off");
            bytes.extend_from_slice(&part[..length]);
            if let Some(sent) = whole(&bytes) {
                break sent;
            }
        };
        self.sent.lock().unwrap().push(sent);
        let (status, text) = self.answer.lock().unwrap().clone();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
        stream.write_all(format!("{head}{text}").as_bytes()).await.unwrap();
    }
}

/// A call, if all of it is there.
fn whole(bytes: &[u8]) -> Option<Sent> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap());
    let headers: BTreeMap<_, _> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    if body.len() < length {
        return None;
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let names = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap().to_owned());
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
    Some(Sent { method, path: path.to_owned(), query: names.collect(), headers, body })
}
