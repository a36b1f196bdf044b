//! What somebody hears who is not let in.

use crate::metrics::Turned;
use std::io::Write;
use tokio::net::TcpStream;

/// Answers before any request was read, and closes. Whoever doesn't take it at once hears nothing.
pub(super) fn turn_away(socket: TcpStream, why: Turned) {
    let (status, code, message) = match why {
        Turned::Full => ("503 Service Unavailable", "ServiceUnavailable", "Too many connections."),
        Turned::Rate | Turned::Address => {
            ("429 Too Many Requests", "TooManyRequests", "Too many connections from your address.")
        }
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nRetry-After: 1\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // The runtime doesn't know yet that a new socket can be written to: the system does.
    let Ok(mut socket) = socket.into_std() else { return };
    let _ = socket.write(answer.as_bytes());
    let _ = socket.shutdown(std::net::Shutdown::Write);
    // Bytes that nobody has read would reset the connection, and take the answer along.
    let mut waste = [0; 4096];
    let read = |_: &i32| matches!(std::io::Read::read(&mut socket, &mut waste), Ok(1..));
    (0..16).take_while(read).count();
}
