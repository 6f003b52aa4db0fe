//! `lockstep change submit`: a change that holds, to every member of the committee.
use super::{
    FromArgs, page,
    proposal::{Proposal, plain},
    show, window,
};
use crate::{
    cli::{Failure, note, print},
    files::NetworkFiles,
    source,
};
use crypto::change::ChangeError;
use serde::Deserialize;
use std::path::PathBuf;
use tokio::task::JoinSet;
use types::{MemberId, Operation, SignedChange, codec, limits};

/// Arguments of `lockstep change submit`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SubmitArgs {
    #[command(flatten)]
    from: FromArgs,
    /// The change, signed by all who must.
    #[arg(long, value_name = "FILE")]
    change: PathBuf,
}

const PATH: &str = "/lockstep/v1/operations";
const ANSWER_BYTES_MAX: usize = 4_096;

/// The change as an operation.
pub(super) fn operation_bytes(signed: SignedChange) -> Vec<u8> {
    codec::encode(&Operation::Change(Box::new(signed)))
}

/// Why a member refuses.
#[derive(Debug, Deserialize)]
struct Refusal {
    reason: String,
    #[serde(default)]
    detail: String,
}

/// What one member answers.
enum Answer {
    /// It holds it.
    Taken,
    /// It does not want it.
    Refused(String),
    /// It does not answer, or not now.
    None(String),
}

/// Runs the command.
///
/// # Errors
/// [`Failure`]: 1 when it does not hold or is refused, 69 when fewer than f + 1 members answer.
pub(super) async fn run(args: SubmitArgs) -> Result<(), Failure> {
    let network = NetworkFiles::read(&args.from.network)?;
    let proposal = Proposal::read(&args.change)?;
    show::print(&proposal);
    let current = page::ask(&network, &args.from).await?;
    if args.from.from.is_some() {
        note(format_args!("lockstep: EPOCH of epoch {}: {}", current.record.epoch, current.told));
    }
    let signed = proposal.sent();
    if let Err(error) = crypto::change::verify(&signed, &current.record) {
        let help = if error == ChangeError::Base {
            "\ndo: propose it again: committee, keys or parameters have changed since"
        } else if error == ChangeError::Late {
            "\ndo: propose it again, with a later --until"
        } else {
            ""
        };
        return Err(Failure::found(format!("not sent: {error}{help}")));
    }
    let operation = operation_bytes(signed);
    if operation.len() > limits::OPERATION_BYTES_MAX {
        return Err(Failure::found(format!("not sent: {} bytes do not fit the log", operation.len())));
    }
    print(format_args!("window     {}", window::hint(&current.record, proposal.change.until, current.slot)));
    let names: Vec<String> = current.record.members.iter().map(|member| plain(&member.name)).collect();
    let answers = send(&current, &operation).await;
    let (mut taken, mut refused) = (0usize, 0usize);
    for (name, answer) in names.iter().zip(answers) {
        let text = match answer {
            Answer::Taken => {
                taken += 1;
                "has taken it".to_owned()
            }
            Answer::Refused(why) => {
                refused += 1;
                format!("refuses it: {why}")
            }
            Answer::None(why) => format!("has not taken it: {why}"),
        };
        print(format_args!("member     {name} {text}"));
    }
    let need = usize::from(current.record.f).saturating_add(1);
    let told = format!("{taken} of {} members have taken it, {need} are needed for one that is honest", names.len());
    if taken >= need {
        print(format_args!("sent       {told}"));
        Ok(())
    } else if refused > 0 {
        Err(Failure::found(told))
    } else {
        Err(Failure::unavailable(told))
    }
}

/// Sends to all at once; answers by index.
async fn send(current: &page::Current, operation: &[u8]) -> Vec<Answer> {
    let mut asked = JoinSet::new();
    for (index, _) in (0u16..).zip(&current.record.members) {
        let (http, operation) = (current.http.get(&MemberId(index)).cloned(), operation.to_vec());
        asked.spawn(async move { (index, post(http, operation).await) });
    }
    let mut answers = Vec::new();
    while let Some(Ok(answer)) = asked.join_next().await {
        answers.push(answer);
    }
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// What a member says with a status that is no success.
fn said(status: u16, body: &[u8]) -> String {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal { reason, detail }) if detail.is_empty() => plain(&reason),
        Ok(Refusal { reason, detail }) => format!("{} ({})", plain(&reason), plain(&detail)),
        Err(_no_json) => format!("status {status}"),
    }
}

async fn post(http: Option<String>, operation: Vec<u8>) -> Answer {
    let Some(http) = http else { return Answer::None("no address is known".into()) };
    match source::post(format!("http://{http}{PATH}"), operation, ANSWER_BYTES_MAX).await {
        Ok((200..300, _)) => Answer::Taken,
        Ok((status @ 400..500, body)) => Answer::Refused(said(status, &body)),
        Ok((status, body)) => Answer::None(said(status, &body)),
        Err(error) => Answer::None(error.to_string()),
    }
}
