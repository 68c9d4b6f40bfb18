//! As much of an HTTP/1.1 server as the fake needs: keep-alive, lengths, a few headers.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::fake::{Fake, Reply, Request};

pub(crate) async fn serve(listener: TcpListener, fake: Arc<Mutex<Fake>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, Arc::clone(&fake)));
    }
}

async fn connection(stream: TcpStream, fake: Arc<Mutex<Fake>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        let write = request.method != "GET";
        let Reply { status, body, link, location, lost } = fake.lock().unwrap().serve(&request);
        if lost {
            return Ok(());
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
        if link {
            head.push_str("link: </next>; rel=\"next\"\r\n");
        }
        if let Some(location) = location {
            head.push_str(&format!("location: {location}\r\n"));
        }
        if write {
            head.push_str("x-consistency-token: t\r\n");
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
    }
    Ok(())
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let mut request = Request { method, target, token: None, key: None, body: Value::Null };
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => request.token = value.strip_prefix("Bearer ").map(str::to_owned),
            "idempotency-key" => request.key = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    request.body = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Some(request))
}
