//! `lockstep keygen ceremony`: one operator's process.
use super::{
    exchange::{self, Answers, Board, Found},
    files::{Planned, TRANSCRIPT_FILE},
    finish,
    journal::{Journal, JournalError},
};
use crate::{
    change::join::listen,
    cli::{Failure, note, print, start_log},
    clock, config,
    files::{self, FilesError, Identity},
    init,
    member::MemberError,
    passphrase::{Lock, PassphraseArgs},
};
use keygen::operators::{Failure as NoKeys, Finished, Message, Operator, Phase, State, Transcript};
use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::JoinSet};
use types::MemberId;

/// Messages that wait to be judged.
const FOUND_MAX: usize = 64;
/// How long after the last other one a process stays, so that it is seen.
const LAST: Duration = Duration::from_secs(2);

/// Arguments of `lockstep keygen ceremony`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CeremonyArgs {
    /// ceremony.toml, with the rollups' genesis files beside it; every operator has the same.
    #[arg(long)]
    plan: PathBuf,
    /// This operator's folder, as `keygen join` made it.
    #[arg(long)]
    dir: PathBuf,
    /// Where to listen, ip:port; default: this member's http address in the plan.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// How long to stay for the others once this operator has its keys, seconds.
    #[arg(long, default_value_t = 600)]
    linger: u64,
    /// Filter of the log on stderr.
    #[arg(long, default_value = "warn")]
    log: String,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) struct Process {
    planned: Planned,
    operator: Operator,
    journal: Journal,
    board: Arc<Board>,
    /// What was said last, so that it is not said again.
    said: String,
    /// Whose messages have not been looked at since the start. Before that nothing is said but the dealing, which is the
    /// same each time: a member whose journal is gone, or an old one, hears its other words from those who heard them,
    /// and does not make up second ones.
    looks_due: BTreeSet<MemberId>,
}

/// Runs the command.
pub(super) async fn run(args: CeremonyArgs) -> Result<(), Failure> {
    start_log(&args.log);
    let planned = Planned::read(&args.plan)
        .map_err(|error| Failure { code: 78, text: format!("{}: {error}", args.plan.display()) })?;
    let lock = args.passphrase.existing()?;
    let identity = Identity::read(&args.dir, &lock).map_err(MemberError::from)?;
    let _dir = store::durable::lock_dir(&args.dir).map_err(|error| Failure { code: 75, text: error.to_string() })?;
    finish::check_unused(&args.dir)?;
    let operator = Operator::start(Arc::clone(&planned.plan), &identity.consensus)
        .map_err(|error| Failure { code: 78, text: error.to_string() })?;
    let me = operator.me();
    if planned.file.genesis.members.get(usize::from(me.0)) != Some(&identity.record(planned.name(me))) {
        return Err(Failure { code: 78, text: "the plan has this consensus key with other keys beside it".into() });
    }
    if planned.plan.absent().contains(&me) {
        return Err(Failure {
            code: 78,
            text: format!(
                "{} is absent in this ceremony: take its share from the transcript with lockstep keygen share",
                planned.name(me)
            ),
        });
    }
    introduce(&planned, me);
    finish::mark_new(&args.dir, &planned.plan.name())?;
    let (journal, kept) = Journal::open(&args.dir, &planned.plan.name())?;
    let process = Process::new(planned, operator, journal, &kept)?;
    if !kept.is_empty() {
        print(format_args!("resumed    with {} messages of the journal", kept.len()));
    }
    Box::pin(process.go(&args, me, &lock)).await
}

fn introduce(planned: &Planned, me: MemberId) {
    let plan = &planned.plan;
    print(format_args!("network    {}", planned.id));
    print(format_args!(
        "ceremony   {} of number {}: compare both with the other operators",
        plan.name(),
        plan.number()
    ));
    for (member, record) in (0..).map(MemberId).zip(&planned.file.genesis.members) {
        let role = if member == me {
            ", this operator"
        } else if plan.absent().contains(&member) {
            ", ABSENT: anybody can compute its share"
        } else {
            ""
        };
        print(format_args!("member {member:<3} {} {}{role}", record.name, record.consensus));
        if let Some(at) = planned.address(member) {
            print(format_args!("           p2p {} quic {} http {}", at.p2p, at.quic, at.http));
        }
    }
}

impl Process {
    /// Goes on after what the journal kept.
    pub(super) fn new(
        planned: Planned,
        operator: Operator,
        journal: Journal,
        kept: &[Message],
    ) -> Result<Self, Failure> {
        let me = operator.me();
        let looks_due = planned.plan.expected().filter(|member| *member != me).collect();
        let mut process = Self { planned, operator, journal, board: Arc::default(), said: String::new(), looks_due };
        for message in kept {
            match process.operator.on(message) {
                Ok(_) => process.board.show(&process.planned.plan, message),
                Err(error) => return Err(Failure { code: 65, text: format!("the journal does not hold: {error}") }),
            }
        }
        Ok(process)
    }

    async fn go(mut self, args: &CeremonyArgs, me: MemberId, lock: &Lock) -> Result<(), Failure> {
        let own = self.planned.address(me).map(|at| listen(&at.http)).unwrap_or_default();
        let listen = config::listen("--listen", args.listen.as_deref().unwrap_or_default(), &own)
            .map_err(|error| Failure { code: 78, text: format!("{error}; name one with --listen") })?;
        let listener = crate::http::bind(listen)
            .await
            .map_err(|error| Failure { code: 71, text: format!("cannot listen on {listen}: {error}") })?;
        let plan = Arc::clone(&self.planned.plan);
        let others: Vec<MemberId> = plan.expected().filter(|member| *member != me).collect();
        let mut tasks = JoinSet::new();
        tasks.spawn(exchange::serve(listener, Arc::clone(&plan), Arc::clone(&self.board)));
        let (send, mut found) = mpsc::channel(FOUND_MAX);
        for member in &others {
            let Some(at) = self.planned.address(*member) else { continue };
            let peer = (*member, at.http.clone());
            tasks.spawn(exchange::follow(peer, Arc::clone(&plan), Arc::clone(&self.board), send.clone()));
        }
        drop(send);
        let mut stop = std::pin::pin!(crate::member::stop_requested());
        let mut until: Option<types::Timestamp> = None;
        let mut result: Option<Result<(), Failure>> = None;
        loop {
            tokio::task::block_in_place(|| self.speak())?;
            self.report();
            if let Some(ended) = tokio::task::block_in_place(|| self.ended(args, lock, result.as_ref())) {
                if let Err(failure) = &ended {
                    note(format_args!("lockstep: {}", failure.text));
                }
                self.board.end();
                until = Some(clock::now().plus(args.linger.saturating_mul(1_000)));
                result = Some(ended);
            }
            if result.is_some() && self.board.have_ended(&others) {
                // the others look at this process once more
                tokio::time::sleep(LAST).await;
                break;
            }
            if until.is_some_and(|until| clock::now() >= until) {
                break;
            }
            tokio::select! {
                stopped = &mut stop => {
                    stopped.map_err(|error| Failure::software(error.to_string()))?;
                    break;
                }
                Some(found) = found.recv() => {
                    tokio::task::block_in_place(|| self.take(&found))?;
                }
                () = tokio::time::sleep(exchange::EVERY) => {}
            }
        }
        match result {
            Some(Ok(())) => Ok(()),
            Some(Err(failure)) => Err(Failure { text: String::new(), ..failure }),
            None => Err(Failure { code: 75, text: "stopped before the end; start it again to go on".into() }),
        }
    }

    /// Says everything that is due: on disk first, then shown.
    pub(super) fn speak(&mut self) -> Result<(), Failure> {
        while let State::Due(phase) = self.operator.state() {
            if phase > Phase::Deal && !self.looks_due.is_empty() {
                break;
            }
            let Some(message) = self.operator.due() else { break };
            self.journal.append(&message).map_err(JournalError::Disk)?;
            self.operator.on(&message).map_err(|error| Failure::software(format!("own message refused: {error}")))?;
            self.board.show(&self.planned.plan, &message);
            print(format_args!("said       {}", message.step.phase()));
        }
        Ok(())
    }

    /// Takes what a look at a peer has found.
    pub(super) fn take(&mut self, found: &Found) -> Result<(), Failure> {
        match found {
            Found::Message(message) => self.hear(message),
            Found::Looked(member) => {
                self.looks_due.remove(member);
                Ok(())
            }
        }
    }

    fn hear(&mut self, message: &Message) -> Result<(), Failure> {
        let contradicted = self.operator.contradictions().count();
        match self.operator.on(message) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                tracing::warn!(from = self.planned.name(message.from), %error, "ceremony.refused");
                return Ok(());
            }
        }
        // what follows from it is said only after this, in `speak`
        self.journal.append(message).map_err(JournalError::Disk)?;
        self.board.show(&self.planned.plan, message);
        if self.operator.contradictions().count() > contradicted {
            let phase = message.step.phase();
            print(format_args!(
                "FAULT      {} signed two different messages of step {phase}",
                self.planned.name(message.from)
            ));
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn operator(&self) -> &Operator {
        &self.operator
    }

    /// A line when something has moved.
    fn report(&mut self) {
        let State::Waiting { phase, missing, unseen } = self.operator.state() else { return };
        let expected = self.planned.plan.expected().count();
        let all: Vec<String> = missing
            .iter()
            .map(|member| {
                let name = self.planned.name(*member);
                match self.board.answers(*member) {
                    Answers::Here => name.to_owned(),
                    Answers::Another => {
                        format!("{name} (answers, but for another ceremony: compare ceremony.toml)")
                    }
                    Answers::Silent => format!("{name} (does not answer)"),
                }
            })
            .collect();
        let mut line = format!("{phase:<10} {} of {expected}", expected.saturating_sub(all.len()));
        if !all.is_empty() {
            line = format!("{line}, waiting for {}", all.join(", "));
        }
        for (sighting, by) in unseen {
            let (author, by) = (self.planned.name(sighting.author), self.planned.name(by));
            line = format!("{line}; {by} has a message of {author} (step {}) that nobody shows", sighting.phase);
        }
        if line != self.said {
            print(format_args!("{line}"));
            self.said = line;
        }
    }

    /// What to do at the end, if it is there and was not done. Without agreement it may still come: from who signed two
    /// outcomes.
    fn ended(
        &self,
        args: &CeremonyArgs,
        lock: &Lock,
        before: Option<&Result<(), Failure>>,
    ) -> Option<Result<(), Failure>> {
        match (self.operator.state(), before) {
            (State::Finished(finished), None | Some(Err(Failure { code: 1, .. }))) => {
                let finished = finished.clone();
                Some(self.finished(&finished, args, lock))
            }
            (State::Failed(failure), None) => Some(Err(self.failed(failure, args))),
            (State::Finished(_) | State::Failed(_), _) | (State::Due(_) | State::Waiting { .. }, _) => None,
        }
    }

    fn finished(&self, finished: &Finished, args: &CeremonyArgs, lock: &Lock) -> Result<(), Failure> {
        let (Some(transcript), Some(secrets)) = (self.operator.transcript(), self.operator.secrets()) else {
            return Err(Failure::software("a ceremony that is finished has no result".into()));
        };
        let dir = &args.dir;
        self.keep_proofs(args)?;
        let network = finish::network(&self.planned, finished.key_set.clone())?;
        store::durable::write(&dir.join(TRANSCRIPT_FILE), &transcript.bytes()).map_err(FilesError::Durable)?;
        let place = (self.operator.me(), self.planned.address(self.operator.me()));
        let mut wrote = finish::write(dir, &network, place, secrets, lock)?;
        wrote.push(dir.join(TRANSCRIPT_FILE));
        let outcome = &finished.outcome;
        let names = |members: &[MemberId]| self.planned.names(members);
        print(format_args!(
            "agreed     {}: {} operators signed it",
            outcome.hash,
            self.planned.plan.expected().count()
        ));
        print(format_args!("dealers    {}", names(&outcome.dealers)));
        if !outcome.faulty.is_empty() {
            print(format_args!("FAULTY     {}: not used", names(&outcome.faulty)));
        }
        if !finished.liars.is_empty() {
            print(format_args!("FAULTY     {}: wrong share key, replaced", names(&finished.liars)));
        }
        if !outcome.revealed.is_empty() {
            print(format_args!("REVEALED   {}: anybody can compute these shares", names(&outcome.revealed)));
        }
        print(format_args!("keys       decrypt {} beacon {}", first(&outcome.decrypt), first(&outcome.beacon)));
        for path in &wrote {
            print(format_args!("wrote      {}", path.display()));
        }
        if matches!(lock, Lock::Plain) {
            print(format_args!("PLAIN      identity.key and share.lks are not sealed: for tests and devnets"));
        }
        let (network, config) = (dir.join(files::NETWORK_FILE), dir.join(init::CONFIG_FILE));
        print(format_args!("check      lockstep keygen check-backup --dir {}", dir.display()));
        let passphrase = if matches!(lock, Lock::Plain) { "" } else { " --passphrase-file <file>" };
        print(format_args!(
            "start      lockstep node --network {} --config {}{passphrase}",
            network.display(),
            config.display()
        ));
        print(format_args!("waiting    until the others have it, too; Ctrl-C if they say so"));
        Ok(())
    }

    fn failed(&self, failure: &NoKeys, args: &CeremonyArgs) -> Failure {
        let kept = self.keep_proofs(args).err().map(|error| format!("\n  {}", error.text)).unwrap_or_default();
        let mut text = format!("no keys: {failure}");
        if let NoKeys::NoAgreement { said } = failure {
            for (member, hash) in said {
                text = format!("{text}\n  {:<12} signed {hash}", self.planned.name(*member));
            }
        }
        if let NoKeys::Dealers(why) = failure {
            text = format!("{text}: {why}");
            if let keygen::reshare::ReshareError::TooFewLogs { faulty, unavailable, .. } = why {
                let names = |members: &[MemberId]| self.planned.names(members);
                text = format!("{text}\n  faulty: {}; without a usable log: {}", names(faulty), names(unavailable));
            }
        }
        if let NoKeys::ShareKeys { liars, source } = failure {
            text = format!("{text}: {source}\n  wrong ones by {}", self.planned.names(liars));
        }
        let next = self.planned.plan.number().saturating_add(1);
        let text = format!(
            "{text}{kept}\n  do: agree with the other operators on ceremony.toml with number = {next}, with who must stay out \
             under absent (at most f), and start again"
        );
        Failure::found(text)
    }

    /// Two messages of one author and step, a file for each pair.
    fn keep_proofs(&self, args: &CeremonyArgs) -> Result<(), Failure> {
        for pair in self.operator.contradictions() {
            let [first, _] = pair;
            // by index: two names can be one name of a file
            let path = args.dir.join(format!("proof-{}-{}.lktr", first.from, first.step.phase()));
            let proof = Transcript::proof(&self.planned.plan, pair);
            store::durable::write(&path, &proof.bytes()).map_err(FilesError::Durable)?;
            print(format_args!("proof      against {}: {}", self.planned.name(first.from), path.display()));
        }
        Ok(())
    }
}

fn first(points: &[types::G1Bytes]) -> String {
    points.first().map(|point| hex::encode(point.0)).unwrap_or_default()
}
