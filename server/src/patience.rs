//! Sockets whose reader must take something now and then.
//!
//! A response is memory and a task until it is read. A reader that takes nothing for a while is
//! let go; one that is merely slow is not.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};

/// Accepts connections that are [`Patient`].
pub struct Patiently {
    pub listener: TcpListener,
    pub timeout: Duration,
}

impl Listener for Patiently {
    type Io = Patient<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Small responses must not wait for more to come.
        let _ = stream.set_nodelay(true);
        (Patient::new(stream, self.timeout), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A stream whose writes fail when nothing of them is taken for `timeout`.
pub struct Patient<S> {
    inner: S,
    timeout: Duration,
    /// Made when a write first has to wait.
    alarm: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl<S> Patient<S> {
    pub fn new(inner: S, timeout: Duration) -> Self {
        Self { inner, timeout, alarm: None, waiting: false }
    }

    /// `done` as it is; or, where it waits, an error once it has waited too long.
    fn bounded<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.waiting = false;
            return done;
        }
        let timeout = self.timeout;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(timeout)));
        if !self.waiting {
            self.waiting = true;
            alarm.as_mut().reset(Instant::now() + timeout);
        }
        ready!(alarm.as_mut().poll(cx));
        let why = format!("the reader took nothing for {timeout:?}");
        tracing::debug!("{why}");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.bounded(cx, done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_flush(cx);
        self.bounded(cx, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.bounded(cx, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.bounded(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_let_go_and_a_slow_one_is_not() {
        let timeout = Duration::from_millis(200);
        let (ours, mut theirs) = duplex(64);
        let mut patient = Patient::new(ours, timeout);
        let slow = tokio::spawn(async move {
            let mut taken = vec![0; 64];
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(80)).await;
                theirs.read_exact(&mut taken).await.unwrap();
            }
            // Holds the connection, and reads no more.
            tokio::time::sleep(Duration::from_secs(5)).await;
        });
        // Four times what the pipe holds: takes longer than the timeout, and goes through.
        patient.write_all(&[1; 256]).await.unwrap();
        let started = Instant::now();
        let stuck = patient.write_all(&[1; 256]).await.unwrap_err();
        assert_eq!(stuck.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(2));
        slow.abort();
    }
}
