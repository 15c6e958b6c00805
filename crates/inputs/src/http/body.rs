//! Reading a body: as far as there is room, within its limits, and not slower than others can wait.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::Instance;
use super::request::Refusal;
use super::unpack::{Packing, Unpacking};
use crate::gate::{Need, Room};
use crate::listening::pace::Pace;

/// How much is unpacked at once.
const STEP: usize = 64 << 10;
/// A client that is slow for so long is gone, or means no good.
const PATIENCE: Duration = Duration::from_secs(60);

const TOO_LARGE: Refusal = Refusal {
    status: StatusCode::PAYLOAD_TOO_LARGE,
    message: "",
};
const TOO_SLOW: Refusal = Refusal {
    status: StatusCode::REQUEST_TIMEOUT,
    message: "error: the body comes too slowly\n",
};
const CUT_OFF: Refusal = Refusal::bad_request("error: the body ends before its end\n");

/// The body, unpacked; `room` is then enough for it.
pub async fn read(
    incoming: Incoming,
    packing: Packing,
    instance: &Instance,
    room: &mut Room,
) -> Result<Bytes, Refusal> {
    let limit = instance.options.body_max();
    if incoming.size_hint().lower() > limit as u64 {
        return Err(TOO_LARGE);
    }
    let packed = collect(incoming, limit, instance, room).await?;
    if packing == Packing::None {
        return Ok(packed);
    }
    let limit = instance.options.unpacked_max();
    let mut unpacking = Unpacking::new(packing, &packed);
    let mut unpacked = Vec::new();
    loop {
        let held = packed.len() + unpacked.len() + STEP;
        let need = Need {
            bytes: held,
            whole: held,
            has_begun: true,
            is_settled: true,
        };
        instance.gate.widen(room, need).await;
        if !unpacking
            .step(&mut unpacked, STEP)
            .map_err(Refusal::bad_request)?
        {
            return Ok(Bytes::from(unpacked));
        }
        if unpacked.len() > limit {
            return Err(TOO_LARGE);
        }
        tokio::task::yield_now().await;
    }
}

async fn collect(
    mut incoming: Incoming,
    limit: usize,
    instance: &Instance,
    room: &mut Room,
) -> Result<Bytes, Refusal> {
    let (mut bytes, pace) = (BytesMut::new(), Pace::new(Some(PATIENCE)));
    // What its head says, if it does.
    let whole = usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
    loop {
        let in_excess = room.is_in_excess();
        let somebody_waits = || async move {
            if !in_excess {
                instance.gate.wanted().await;
            }
        };
        let frame = tokio::select! {
            frame = incoming.frame() => frame,
            () = pace.gives_way(somebody_waits) => return Err(TOO_SLOW),
        };
        let Some(frame) = frame else {
            return Ok(bytes.freeze());
        };
        let Ok(data) = frame.map_err(|_| CUT_OFF)?.into_data() else {
            // Trailers mean nothing here.
            continue;
        };
        if bytes.len() + data.len() > limit {
            return Err(TOO_LARGE);
        }
        // It is in memory already, but nothing more is before there is room for it.
        pace.note(data.len());
        pace.hold_up(true);
        let held = bytes.len() + data.len();
        let need = Need {
            bytes: held,
            whole: held.max(whole),
            has_begun: !bytes.is_empty(),
            is_settled: true,
        };
        instance.gate.widen(room, need).await;
        pace.hold_up(false);
        bytes.extend_from_slice(&data);
    }
}
