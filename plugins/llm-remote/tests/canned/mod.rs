//! A server that gives every request the same answer, byte for byte.

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    task::JoinHandle,
};

pub(crate) struct Canned {
    base: String,
    task: JoinHandle<()>,
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Canned {
    pub(crate) async fn json(body: &str) -> Self {
        Self::status("200 OK\r\ncontent-type: application/json", body).await
    }

    /// `head` is a status, optionally followed by headers.
    pub(crate) async fn status(head: &str, body: &str) -> Self {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let mut connection = BufReader::new(connection);
                let (mut line, mut length) = (String::new(), 0);
                while connection.read_line(&mut line).await.is_ok_and(|read| read > 2) {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                connection.read_exact(&mut vec![0; length]).await.unwrap();
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { base, task }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }
}
