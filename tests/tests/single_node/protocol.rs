//! Bytes in any pieces, and bytes that are no request.

use carousel_protocol::resp::encode_request;
use carousel_tests::eventually;

use crate::each_kind;

#[tokio::test]
async fn requests_may_be_cut_anywhere() {
    let mut requests = Vec::new();
    encode_request(&mut requests, &[b"SET", b"key", b"a value\r\nof two lines"]);
    requests.extend_from_slice(b"\r\n*0\r\nGET key\r\n");
    encode_request(&mut requests, &[b"MGET", b"key", b"none", b"key"]);
    let expected = b"+OK\r\n$21\r\na value\r\nof two lines\r\n\
        *3\r\n$21\r\na value\r\nof two lines\r\n$-1\r\n$21\r\na value\r\nof two lines\r\n+OK\r\n";
    for server in each_kind().await {
        let mut other = server.raw().await;
        for cut in 1..requests.len() {
            let mut raw = server.raw().await;
            raw.send(&requests[..cut]).await;
            // The node has its turn between the two pieces.
            other.call("PING").await;
            raw.send(&requests[cut..]).await;
            raw.send(b"QUIT\r\n").await;
            assert_eq!(raw.until_closed().await, expected, "cut at {cut}");
        }
        let mut raw = server.raw().await;
        for byte in &requests {
            raw.send(&[*byte]).await;
        }
        raw.send(b"QUIT\r\n").await;
        assert_eq!(raw.until_closed().await, expected, "byte by byte");
    }
}

#[tokio::test]
async fn inline_commands_have_quotes() {
    for server in each_kind().await {
        let mut raw = server.raw().await;
        raw.send(b"  set  'a key'   \"x\\x41\\n\\\"y\" \r\nget 'a key'\nPING\r\n").await;
        assert_eq!(raw.reply().await.as_str(), Some("OK"));
        assert_eq!(raw.reply().await.as_str(), Some("xA\n\"y"));
        assert_eq!(raw.reply().await.as_str(), Some("PONG"));
        raw.send(b"SET a 'open\r\n").await;
        assert_eq!(raw.until_closed().await, b"-ERR Protocol error: unbalanced quotes in request\r\n");
    }
}

#[tokio::test]
async fn what_is_no_request_ends_its_own_connection_only() {
    let huge = vec![b'x'; 70_000];
    let cases: [(&[u8], &str); 8] = [
        (b"*x\r\n", "Protocol error: invalid multibulk length"),
        (b"*1048577000\r\n", "Protocol error: invalid multibulk length"),
        (b"*1\r\n+PING\r\n", "Protocol error: expected '$', got '+'"),
        (b"*1\r\n$-5\r\nPING\r\n", "Protocol error: invalid bulk length"),
        (b"*1\r\n$999999999999\r\n", "Protocol error: invalid bulk length"),
        (b"*1\r\n$4x\r\nPING\r\n", "Protocol error: invalid bulk length"),
        (&huge, "Protocol error: too big inline request"),
        (b"GET \"a\"b\r\n", "Protocol error: unbalanced quotes in request"),
    ];
    for server in each_kind().await {
        let mut others = Vec::new();
        for _ in 0..4 {
            others.push(server.raw().await);
        }
        for (bytes, text) in cases {
            let mut raw = server.raw().await;
            // What came before it is answered.
            raw.send(b"SET before 1\r\n").await;
            assert_eq!(raw.reply().await.as_str(), Some("OK"));
            raw.send(bytes).await;
            let expected = format!("-ERR {text}\r\n");
            assert_eq!(String::from_utf8_lossy(&raw.until_closed().await), expected);
        }
        for other in &mut others {
            assert_eq!(other.call("GET before").await.as_str(), Some("1"));
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing_behind() {
    for server in each_kind().await {
        for n in 0..50 {
            let mut raw = server.raw().await;
            raw.send(b"SET whole 1\r\n*3\r\n$3\r\nSET\r\n$4\r\npart\r\n$1000\r\nabc").await;
            if n % 2 == 0 {
                raw.reply().await;
            }
        }
        eventually("only the asking client is left", async || {
            match server.info("connected_clients").await.as_str() {
                "1" => Ok(()),
                more => Err(more.to_string()),
            }
        })
        .await;
        let mut raw = server.raw().await;
        assert_eq!(raw.call("EXISTS part").await.as_integer(), Some(0));
        assert_eq!(raw.call("GET whole").await.as_str(), Some("1"));
    }
}
