//! Wallets that never stop sending, and remember what was promised to them.
use crate::network::account;
use crypto::hash;
use execution::demo::{LegTx, gas_class};
use ingress::Client;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use types::{Address, Bundle, ChainId, Hash, Nonce, Policy, Slot, codec};
use wallet::{NetworkView, SealOptions, SubmitLimits, Submitter};
use zeroize::Zeroizing;

/// An envelope with receipts of f + 1 members.
pub(crate) struct Promise {
    pub(crate) item: Hash,
    pub(crate) payer: Address,
    pub(crate) nonce: Nonce,
    /// Each receipt, and the envelope, as auditors take them.
    pub(crate) receipts: Vec<String>,
}

pub(crate) struct Load {
    pub(crate) submitter: watch::Sender<Arc<Submitter>>,
    promises: Arc<Mutex<Vec<Promise>>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    clients: Vec<Arc<tokio::sync::Mutex<Option<Client>>>>,
}

impl Load {
    pub(crate) fn start(view: &NetworkView, accounts: u32) -> Self {
        let submitter = watch::Sender::new(connect(view));
        let (promises, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let tasks = (0..accounts)
            .map(|i| tokio::spawn(send(i, submitter.subscribe(), Arc::clone(&promises), Arc::clone(&stop))))
            .collect();
        let clients = view.members.iter().map(|_| Arc::default()).collect();
        Self { submitter, promises, stop, tasks, clients }
    }

    /// For after a kill: a wallet takes 10 s to see that whoever said nothing is gone, and a round may be over by then.
    pub(crate) fn reconnect(&self) {
        self.submitter.send_modify(|submitter| *submitter = connect(submitter.view()));
    }

    pub(crate) fn promised(&self) -> usize {
        self.promises.lock().unwrap().len()
    }

    /// Last slot that each member has opened; `None`: it does not answer.
    pub(crate) async fn opened(&self) -> Vec<Option<u64>> {
        let (submitter, mut told) = (Arc::clone(&self.submitter.borrow()), Vec::new());
        for (member, client) in submitter.view().members.iter().zip(&self.clients) {
            let (address, pin, client) = (member.quic.parse().unwrap(), member.pin, Arc::clone(client));
            told.push(tokio::spawn(async move {
                // One connection each, for as long as it lives: new ones count against wallets of the same address.
                let mut client = client.lock().await;
                let ask = async {
                    let asked = match client.take() {
                        Some(known) if !known.is_closed() => known,
                        Some(_) | None => Client::connect(address, pin).await.ok()?,
                    };
                    let slot = asked.params().await.ok()?.opened.0;
                    *client = Some(asked);
                    Some(slot)
                };
                tokio::time::timeout(Duration::from_millis(700), ask).await.ok()?
            }));
        }
        let mut slots = Vec::new();
        for slot in told {
            slots.push(slot.await.unwrap());
        }
        slots
    }

    pub(crate) async fn stop(self) -> Vec<Promise> {
        self.stop.store(true, Ordering::Release);
        for task in self.tasks {
            task.await.unwrap();
        }
        Arc::into_inner(self.promises).unwrap().into_inner().unwrap()
    }
}

fn connect(view: &NetworkView) -> Arc<Submitter> {
    let limits = SubmitLimits { receipts_ms: 1_500, collect_ms: 4_000, retry_ms: 100, ..SubmitLimits::default() };
    Arc::new(Submitter::start(view.clone(), limits))
}

async fn send(
    i: u32,
    submitter: watch::Receiver<Arc<Submitter>>,
    promises: Arc<Mutex<Vec<Promise>>>,
    stop: Arc<AtomicBool>,
) {
    let (fee, sender) = account(i);
    let (mut draws, mut next, mut promised) = (0u64, None, None);
    while !stop.load(Ordering::Acquire) {
        draws += 1;
        tokio::time::sleep(Duration::from_millis(120)).await;
        let submitter = Arc::clone(&submitter.borrow());
        let Ok(Some(params)) = tokio::time::timeout(Duration::from_secs(1), submitter.current()).await else {
            continue;
        };
        // Asked for at first and after a surprise.
        if next.is_none() {
            let known = tokio::time::timeout(Duration::from_secs(1), submitter.next_nonce(fee.address())).await;
            // One that was promised is not used again: else another envelope would stand in the place of a lost one.
            next = known.ok().flatten().filter(|nonce| Some(*nonce) > promised);
        }
        let Some(nonce) = next.take() else { continue };
        let tx = LegTx {
            chain_id: ChainId(901),
            nonce: nonce.0,
            to: sender.address(),
            value: 1,
            gas_limit: 21_000,
            data: Vec::new(),
            max_fee_per_gas: 100_000_000_000,
            max_priority_fee_per_gas: 1_000_000,
        };
        let expiry = params.last_final.plus(150);
        let time = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos().to_le_bytes();
        let draw = |what: &[u8]| hash::sha256(&[what, &i.to_le_bytes(), &draws.to_le_bytes(), &time]).0;
        let bundle = Bundle {
            version: Bundle::VERSION,
            policy: Policy::AtomicExec,
            legs: vec![tx.leg(&sender.sign(&tx.digest()))],
            deadline_slot: Slot(expiry.0 + 10),
            salt: Hash(draw(b"salt")),
        };
        let gas_class = gas_class(100_000);
        let max_fee = wallet::offer(&params, wallet::size_class(&bundle).unwrap(), gas_class).unwrap();
        let options = SealOptions {
            epoch: params.epoch,
            expiry_slot: expiry,
            gas_class,
            max_fee,
            after: Vec::new(),
            consents: Vec::new(),
        };
        let entropy = Zeroizing::new(draw(b"seal"));
        let (item, envelope) = wallet::seal_bundle(submitter.view(), &fee, nonce, &bundle, options, entropy).unwrap();
        if let Ok(submission) = submitter.submit(&envelope).await {
            let hex = hex::encode(codec::encode(&envelope));
            let receipts = submission.collected().receipts;
            let receipts = receipts.iter().map(|receipt| format!("{}envelope {hex}\n", receipt.note)).collect();
            promises.lock().unwrap().push(Promise { item, payer: fee.address(), nonce, receipts });
            (promised, next) = (Some(nonce), Some(Nonce(nonce.0 + 1)));
        }
    }
}
