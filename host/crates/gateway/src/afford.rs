//! Whether a request can be paid for: its worst case is set aside before it goes out. What it wants
//! written is cut to what is left, down to a length that is still of use.

use bytes::Bytes;
use tokio::time::timeout;

use crate::admit::{COUNT, Call};
use crate::bill::Bill;
use crate::purse::NoMoney;
use crate::refusal::Refusal;
use crate::request;
use crate::run::Door;
use crate::worst::Worst;

/// A provider's answer to a count is a few bytes.
const COUNT_BYTES: usize = 64 * 1024;

/// The call as it may go out, and who pays for it. Counting is free.
pub(crate) async fn afford(door: &Door, mut call: Call) -> Result<(Call, Option<Bill>), Refusal> {
    if call.counts {
        return Ok((call, None));
    }
    let Some((longest, at)) = call.asked.max_tokens.clone() else {
        return Err(Refusal::invalid("the body: missing field `max_tokens`"));
    };
    let price = door.shared.prices.of(&call.asked.model);
    let mut worst = Worst::by_bytes(price, &call.asked, call.body.len());
    let refused = |why: NoMoney| refusal(door, why);
    if !door.purse.is_far(worst.most()).await.map_err(refused)?
        && let Some(tokens) = count(door, &call).await
    {
        worst = worst.counted(tokens);
    }
    let promised = door.purse.promise(worst.least(), worst.most()).await;
    let promise = promised.map_err(refused)?;
    let (mut answer, mut most) = (longest, worst.most());
    if let Some(amount) = promise.amount()
        && let Some(shorter) = worst.cut_to(amount)
    {
        call.body = replaced(&call.body, at, &shorter.to_string());
        (answer, most) = (shorter, amount);
    }
    Ok((call, Some(Bill::new(promise, price, answer, most))))
}

fn refusal(door: &Door, why: NoMoney) -> Refusal {
    match why {
        NoMoney::Over(budget) => {
            let refusal = Refusal::over(&budget);
            door.ledger.over(budget);
            refusal
        }
        NoMoney::Busy(budget) => Refusal::busy(&budget),
        NoMoney::Away(error) => {
            tracing::warn!(%error, "a model request was not sent: its cost can't be set aside");
            Refusal::fenced()
        }
    }
}

/// The prompt's tokens by the provider's count; none where it doesn't say.
async fn count(door: &Door, call: &Call) -> Option<u64> {
    let body = request::to_count(&call.body)?;
    let sent = door
        .shared
        .upstream
        .send(COUNT, call.headers.clone(), body.into());
    let counted = async {
        let mut response = sent.await.ok()?.error_for_status().ok()?;
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.ok()? {
            if answer.len() + chunk.len() > COUNT_BYTES {
                return None;
            }
            answer.extend_from_slice(&chunk);
        }
        let answer: serde_json::Value = serde_json::from_slice(&answer).ok()?;
        answer.get("input_tokens")?.as_u64()
    };
    let counted = timeout(door.shared.limits.count, counted)
        .await
        .ok()
        .flatten();
    if counted.is_none() {
        tracing::debug!("the provider didn't count a prompt");
    }
    counted
}

/// The body with other bytes at this place.
fn replaced(body: &[u8], at: std::ops::Range<usize>, text: &str) -> Bytes {
    let mut new = Vec::with_capacity(body.len() + text.len());
    new.extend_from_slice(&body[..at.start]);
    new.extend_from_slice(text.as_bytes());
    new.extend_from_slice(&body[at.end..]);
    new.into()
}
