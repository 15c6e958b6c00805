//! What senders write, changed anywhere, in two pieces: it is taken or refused, and nothing is kept back.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rig::{Rig, soon};

const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff";

/// Runs one input, to which every test input is sent on a connection of its own.
fn fuzz(target: ::fuzz::Target, options: &[(&str, &str)]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let rig = local.block_on(&runtime, async { Rig::build(options, None, 32 << 20) });
    rig.road.deliver(true);
    target.run(|bytes| {
        local.block_on(&runtime, async {
            let mut sender = rig.connect().await;
            let (first, second) = bytes.split_at(bytes.len() / 2);
            // It may be closed before all is sent.
            let _ = sender.write_all(first).await;
            tokio::task::yield_now().await;
            let _ = sender.write_all(second).await;
            let _ = sender.shutdown().await;
            let _ = soon(sender.read_to_end(&mut Vec::new())).await;
            drop(rig.road.take());
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            assert_eq!(rig.budget.used(), 0, "everything is given back");
        });
    });
    local.block_on(&runtime, async { drop(rig.end().await) });
}

#[test]
fn fuzz_frames() {
    let packed = b"\x93\xa1t\xc4\x0c\x92\x05\x81\xa1k\x01\x92\x06\x81\xa1k\x02\x82\xa5chunk\xa4abcd\xa4size\x02";
    let forward = b"\x93\xa1t\x92\x92\x05\x81\xa1k\x01\x92\x92\xd7\x00\0\0\0\x06\x1d\xcd\x65\x00\x80\x81\xa1k\x02\x81\xa5chunk\xa1x";
    let entries = b"\x92\x05\x81\xa1k\x01\x92\x06\x81\xa1k\x02";
    let zipped = super::super::gunzip::tests::pack(entries);
    let mut compressed = b"\x93\xa1t\xc4".to_vec();
    compressed.push(u8::try_from(zipped.len()).expect("small"));
    compressed.extend_from_slice(&zipped);
    compressed.extend_from_slice(b"\x81\xaacompressed\xa4gzip");
    let target = ::fuzz::Target::new("frames")
        .files("../../tests/samples", &[".bin"])
        .seeds([packed.as_slice(), forward, &compressed])
        .words([
            GZIP,
            b"\xdd\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff",
            b"\xc6\0\0\xff\xff",
            b"\x93\xa1t",
            b"\xa5chunk",
        ])
        .words([
            b"\xaacompressed\xa4gzip".as_slice(),
            b"\xaacompressed\xa4zstd",
            b"\xaffluent_signal\x01",
            b"\xd7\0",
        ]);
    fuzz(target, &[("buffer_max_size", "64k")]);
}

#[test]
fn fuzz_handshake() {
    let ping = [
        b"\x96\xa4PING\xa4host\xa4salt\xd9\x80".as_slice(),
        &[b'0'; 128],
        b"\xa3ann\xd9\x80",
        &[b'1'; 128],
    ]
    .concat();
    let target = ::fuzz::Target::new("handshake")
        .seeds([
            ping.as_slice(),
            &[&ping[..], b"\x93\xa1t\x05\x81\xa1k\x01"].concat(),
        ])
        .words([
            b"\xa4PING".as_slice(),
            b"\xda\x20\x00",
            b"\xdb\xff\xff\xff\xff",
            b"\x96",
            b"\xc4\x04salt",
        ]);
    fuzz(
        target,
        &[("shared_key", "secret"), ("security.users", "ann pass")],
    );
}
