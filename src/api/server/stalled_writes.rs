//! A stream whose reader has to read: one that takes nothing for too long is let go.
//!
//! Answers are held in memory until they are written. A client that asks for much and reads nothing would otherwise keep its connection,
//! and what it was answered, for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::model::units::Duration;

/// The stream.
#[derive(Debug)]
pub(super) struct StalledWrites<S> {
    stream: S,
    patience: Duration,
    /// Set while a write waits for the reader.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> StalledWrites<S> {
    pub(super) fn new(stream: S, patience: Duration) -> StalledWrites<S> {
        StalledWrites { stream, patience, deadline: None }
    }

    /// Passes on what became of a write, unless it has waited for too long.
    fn watched<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StalledWrites<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StalledWrites<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, buf);
        this.watched(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, bufs);
        this.watched(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        this.watched(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(context);
        this.watched(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// Who reads, however slowly, is waited for; who does not is not.
    #[test]
    fn readers_have_to_read() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (near, mut far) = duplex(16);
            let mut stream = StalledWrites::new(near, Duration::from_millis(100));
            let reader = tokio::spawn(async move {
                let mut read = [0; 16];
                for _ in 0..6 {
                    sleep(Duration::from_millis(30)).await;
                    far.read_exact(&mut read).await.expect("there is more");
                }
                far
            });
            stream.write_all(&[1; 96]).await.expect("it is read in time");
            let _far = reader.await.expect("the reader ends");
            let error = stream.write_all(&[1; 17]).await.expect_err("nobody reads it");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }
}
