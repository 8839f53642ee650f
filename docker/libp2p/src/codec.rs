//! Private messages on the wire: a request is the payload as it is, its answer is one byte.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response;

pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/p2p-harness/message/1.0.0");
pub const PAYLOAD_BYTES_MAX: u64 = 1 << 20;

#[derive(Clone, Default)]
pub struct Codec;

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = ();

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut payload = Vec::new();
        io.take(PAYLOAD_BYTES_MAX + 1).read_to_end(&mut payload).await?;
        if payload.len() as u64 > PAYLOAD_BYTES_MAX {
            return Err(io::Error::other("a message is longer than is allowed"));
        }
        Ok(payload)
    }

    /// The answer is one byte: a stream that ends without it was cut off.
    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<()>
    where
        T: AsyncRead + Unpin + Send,
    {
        io.read_exact(&mut [0]).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        payload: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&payload).await?;
        io.close().await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, (): ()) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&[1]).await?;
        io.close().await
    }
}
