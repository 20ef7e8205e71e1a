//! Group commit: calls that come while a transaction is under way are done together in the next
//! one. A call that comes alone goes at once; nothing waits for company.

use crate::StoreError;
use std::future::Future;
use tokio::sync::{mpsc, oneshot};

/// Calls in one transaction at most: what fails in it is done again one by one.
const MOST: usize = 64;

type Call<T, R> = (T, oneshot::Sender<Result<R, StoreError>>);

/// A queue of calls of one kind, and the task that does them.
#[derive(Debug)]
pub(crate) struct Lane<T, R> {
    calls: mpsc::UnboundedSender<Call<T, R>>,
    place: String,
}

impl<T: Send + 'static, R: Send + 'static> Lane<T, R> {
    /// `work` does some calls in one transaction; its answers are in their order.
    pub(crate) fn start<F>(place: &str, work: impl Fn(Vec<T>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Vec<Result<R, StoreError>>> + Send,
    {
        let (calls, mut waiting) = mpsc::unbounded_channel::<Call<T, R>>();
        // Apart from its callers: one that goes away takes nothing of the others with it. It
        // ends with the last sender.
        tokio::spawn(async move {
            let mut gathered = Vec::with_capacity(MOST);
            while waiting.recv_many(&mut gathered, MOST).await > 0 {
                let (items, callers): (Vec<_>, Vec<_>) = gathered.drain(..).unzip();
                let answers = work(items).await;
                for (caller, answer) in callers.into_iter().zip(answers) {
                    // Who went away needs no answer.
                    let _ = caller.send(answer);
                }
            }
        });
        Self {
            calls,
            place: place.to_owned(),
        }
    }

    /// Does one call, with whichever others there are.
    pub(crate) async fn call(&self, item: T) -> Result<R, StoreError> {
        let (answer, heard) = oneshot::channel();
        let sent = self.calls.send((item, answer)).is_ok();
        match heard.await {
            Ok(answer) if sent => answer,
            _ => Err(StoreError::Away {
                place: self.place.clone(),
                what: "the task that writes has ended".to_owned(),
            }),
        }
    }
}
