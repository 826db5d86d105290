//! Files to and from the vault, piece by piece: sealed and opened here and nowhere else. What was interrupted goes on where it was;
//! nothing counts as received before every piece and the whole have verified.

use crate::app::{App, Ports};
use crate::command::CommandError;
use crate::line::Line;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::time::Duration;
use vettid_crypto::file::{PieceCipher, fresh_key, piece_hash};
use vettid_crypto::kdf::RunningHash;
use vettid_wire::base64::Base64;
use vettid_wire::digest::Digest;
use vettid_wire::event::{
    EventRow, FileBegin, FileFetch, FileGet, FilePieceGet, FilePut, FileStatus, FileUploadStatus, MessagingSend,
};
use vettid_wire::file::{
    BeginFile, FileBegun, FileManifest, FilePiece, FileProblem, FileState, FileView, MAX_FILE_BYTES, PIECE_BYTES,
    PieceRef, UploadRef, content_of_piece, pieces_of,
};
use vettid_wire::id::{ConnectionId, EventId, FileId};
use vettid_wire::json;
use vettid_wire::messaging::{MessageRef, SendText, Sent};
use vettid_wire::refusal::RefusalCode;

/// Pieces after which other commands of this app get their turn.
const PIECES_IN_A_TURN: usize = 16;
/// How often is looked whether the vault has the file.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A vault that has too much to do is asked again after this time, so often.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
const TRIES: usize = 60;
/// How often a vault may forget what it has, before the message is given up.
const ROUNDS: usize = 5;

/// What a file is sent with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileToSend {
    /// To whom.
    pub connection_id: ConnectionId,
    /// Its name for the receiver, see [`vettid_wire::file::is_file_name`].
    pub name: String,
    /// What it is.
    pub media_type: String,
    /// The text beside it; may be empty.
    pub text: String,
    /// The message that it answers.
    pub reply_to: Option<EventId>,
}

/// A file that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentFile {
    /// The message that carries it.
    pub message_id: EventId,
    /// What was sent.
    pub file: FileManifest,
}

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes of the content are hashed.
    Reading {
        /// Done.
        bytes: u64,
        /// Of so many.
        of: u64,
    },
    /// So many pieces are with the own vault.
    Uploading {
        /// Done.
        pieces: u32,
        /// Of so many.
        of: u32,
    },
    /// So many pieces are on this side's vault, on their way from the peer's.
    OnItsWay {
        /// Done.
        pieces: u32,
        /// Of so many.
        of: u32,
    },
    /// So many pieces are here.
    Downloading {
        /// Done.
        pieces: u32,
        /// Of so many.
        of: u32,
    },
}

/// Why a file was not sent or received.
#[derive(Debug, thiserror::Error)]
pub enum FileFailure {
    /// The vault could not be asked, or refuses.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The content cannot be read or written.
    #[error("the file cannot be read or written: {0}")]
    Content(#[from] io::Error),
    /// It is too large.
    #[error("the file is larger than {} MiB", MAX_FILE_BYTES / (1024 * 1024))]
    TooLarge,
    /// It changed while it was sent; nothing was sent.
    #[error("the file changed while it was read")]
    Changed,
    /// The vault forgets pieces time after time.
    #[error("the vault does not keep the pieces of the file")]
    NotKept,
    /// What the vault gave is not what the message says.
    #[error("the file is damaged: it is not what its message says")]
    Damaged,
    /// It will not come.
    #[error("the file will not come: {}", reason(*.0))]
    WillNotCome(Option<FileProblem>),
}

fn reason(problem: Option<FileProblem>) -> &'static str {
    match problem {
        Some(FileProblem::NoRoom) => "your vault has no room for it",
        Some(FileProblem::Gone) => "its sender does not hold it any more",
        Some(FileProblem::Ended) => "the connection ended",
        Some(FileProblem::Expired) => "its time is over",
        None => "nobody knows why",
    }
}

type Shown<'p> = &'p mut (dyn FnMut(Progress) + Send);

impl<P: Ports> App<P> {
    /// Sends a file. The same content to the same connection goes on where it was interrupted.
    ///
    /// # Errors
    /// [`FileFailure`]; what is with the vault by then stays there for some days.
    pub async fn send_file(
        &self,
        wanted: FileToSend,
        content: &mut (impl Read + Seek + Send),
        shown: Shown<'_>,
    ) -> Result<SentFile, FileFailure> {
        let (size_bytes, sha256) = hash(content, shown)?;
        if let Some(sent) = self.finish_pending(&wanted, sha256).await? {
            return Ok(sent);
        }
        let begun = self.begin_file(&wanted, size_bytes, sha256).await?;
        let mut pieces = Vec::new();
        for _ in 0..ROUNDS {
            let missing = self.missing(begun.file_id).await?;
            pieces = self.hand_over(&begun, (size_bytes, sha256), content, &missing, shown).await?;
            let FileToSend { connection_id, name, media_type, text, reply_to } = wanted.clone();
            let (file_id, key) = (begun.file_id, begun.key.clone());
            let file = FileManifest { file_id, name, media_type, size_bytes, sha256, key, pieces: pieces.clone() };
            let message = SendText { text, reply_to, file: Some(file.clone()), ..SendText::new(connection_id, "") };
            match self.command::<MessagingSend>(message).await {
                Ok(Sent { message_id }) => return Ok(SentFile { message_id, file }),
                // A vault that started again does not know by heart what it has.
                Err(CommandError::Refused { code: RefusalCode::NotAvailable, .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        drop(pieces);
        Err(FileFailure::NotKept)
    }

    /// A message with this very file may have been sent already without this app's knowing: it is asked for again, not sent twice.
    async fn finish_pending(&self, wanted: &FileToSend, sha256: Digest) -> Result<Option<SentFile>, FileFailure> {
        let mut line = self.open().await?;
        let pending = line.member.intent.as_ref().filter(|intent| intent.event_type == MessagingSend::ROW.event_type());
        let pending = pending.and_then(|intent| json::from_value::<SendText>(intent.body.clone()).ok());
        let is_same = |message: &SendText| {
            message.connection_id == wanted.connection_id
                && (&message.text, message.reply_to) == (&wanted.text, wanted.reply_to)
                && message.file.as_ref().is_some_and(|file| file.sha256 == sha256 && file.name == wanted.name)
        };
        let outcome = match pending.filter(is_same) {
            Some(message) => Some((line.ask::<MessagingSend>(&message).await, message.file)),
            None => None,
        };
        line.close().await;
        match outcome {
            Some((Ok(Sent { message_id }), Some(file))) => Ok(Some(SentFile { message_id, file })),
            Some((Err(CommandError::Refused { .. }), _)) | Some((Ok(_), None)) | None => Ok(None),
            Some((Err(error), _)) => Err(error.into()),
        }
    }

    async fn begin_file(&self, wanted: &FileToSend, size_bytes: u64, sha256: Digest) -> Result<FileBegun, FileFailure> {
        let asked = BeginFile {
            connection_id: wanted.connection_id,
            name: wanted.name.clone(),
            media_type: wanted.media_type.clone(),
            size_bytes,
            sha256,
            key: fresh_key(&mut self.ports.random()),
        };
        Ok(self.command::<FileBegin>(asked).await?)
    }

    async fn missing(&self, file_id: FileId) -> Result<Vec<u32>, FileFailure> {
        let mut line = self.open().await?;
        let status = patiently::<FileUploadStatus, P>(&mut line, &UploadRef { file_id }).await;
        line.close().await;
        Ok(status?.missing)
    }

    /// Seals every piece, and hands over those that are missing. Gives the hashes of all.
    async fn hand_over(
        &self,
        begun: &FileBegun,
        (size_bytes, sha256): (u64, Digest),
        content: &mut (impl Read + Seek + Send),
        missing: &[u32],
        shown: Shown<'_>,
    ) -> Result<Vec<Digest>, FileFailure> {
        content.seek(SeekFrom::Start(0))?;
        let (cipher, of) = (PieceCipher::new(&begun.key), pieces_of(size_bytes));
        let (mut hashes, mut whole, mut stored) = (Vec::new(), RunningHash::default(), of);
        stored -= u32::try_from(missing.len()).unwrap_or(of).min(of);
        shown(Progress::Uploading { pieces: stored, of });
        let mut turn: Option<Line<'_, P>> = None;
        let mut in_this_turn = 0;
        for index in 0..of {
            let mut piece = vec![0; content_of_piece(size_bytes, index).unwrap_or(0)];
            content.read_exact(&mut piece).map_err(changed)?;
            whole.update(&piece);
            let sealed = cipher.seal(index, index + 1 == of, &piece);
            hashes.push(piece_hash(&sealed));
            if !missing.contains(&index) {
                continue;
            }
            let mut line = match turn.take() {
                Some(line) if in_this_turn < PIECES_IN_A_TURN => line,
                full => {
                    in_this_turn = 0;
                    if let Some(full) = full {
                        full.close().await;
                    }
                    self.open().await?
                }
            };
            let piece = FilePiece { file_id: begun.file_id, index, bytes: Base64::new(sealed) };
            patiently::<FilePut, P>(&mut line, &piece).await?;
            turn = Some(line);
            (in_this_turn, stored) = (in_this_turn + 1, stored + 1);
            shown(Progress::Uploading { pieces: stored, of });
        }
        if let Some(line) = turn {
            line.close().await;
        }
        let is_same = Digest::from_bytes(whole.finish()) == sha256 && content.read(&mut [0])? == 0;
        if is_same { Ok(hashes) } else { Err(FileFailure::Changed) }
    }

    /// Waits until the vault has the file of a message, and gives what it takes to open it. A file that waits for its owner's word is fetched.
    ///
    /// # Errors
    /// [`FileFailure`].
    pub async fn await_file(&self, message: &MessageRef, shown: Shown<'_>) -> Result<FileManifest, FileFailure> {
        let mut view = self.command::<FileStatus>(message.clone()).await?;
        if view.state != FileState::Here {
            view = self.command::<FileFetch>(message.clone()).await?;
        }
        loop {
            let FileView { state, pieces_there, pieces, problem, .. } = view;
            match state {
                FileState::Here => break,
                FileState::Failed | FileState::Waiting => return Err(FileFailure::WillNotCome(problem)),
                FileState::OnItsWay => shown(Progress::OnItsWay { pieces: pieces_there, of: pieces }),
            }
            tokio::time::sleep(LOOK_EVERY).await;
            view = self.command::<FileStatus>(message.clone()).await?;
        }
        let manifest = self.command::<FileGet>(message.clone()).await?;
        if manifest.is_sound() { Ok(manifest) } else { Err(FileFailure::Damaged) }
    }

    /// Reads a file that the vault has into `part`, which may hold the beginning of it already. When this returns, `part` holds the whole
    /// content, verified and on the disk; before that it must not be taken for it.
    ///
    /// # Errors
    /// [`FileFailure`]; after [`FileFailure::Damaged`] what is in `part` is of no use.
    pub async fn read_file(
        &self,
        message: &MessageRef,
        manifest: &FileManifest,
        part: &mut File,
        shown: Shown<'_>,
    ) -> Result<(), FileFailure> {
        let of = pieces_of(manifest.size_bytes);
        let whole_pieces = part.metadata()?.len().min(manifest.size_bytes) / PIECE_BYTES as u64;
        part.set_len(whole_pieces * PIECE_BYTES as u64)?;
        part.seek(SeekFrom::End(0))?;
        let cipher = PieceCipher::new(&manifest.key);
        let mut index = u32::try_from(whole_pieces).unwrap_or(of).min(of);
        while index < of {
            let mut line = self.open().await?;
            let until = of.min(index.saturating_add(PIECES_IN_A_TURN as u32));
            let read = read_pieces(&mut line, message, (manifest, &cipher), part, index..until, shown).await;
            line.close().await;
            read?;
            index = until;
        }
        part.sync_all()?;
        let (size_bytes, sha256) = hash(part, &mut |_| {})?;
        let is_whole = (size_bytes, sha256) == (manifest.size_bytes, manifest.sha256);
        if is_whole { Ok(()) } else { Err(FileFailure::Damaged) }
    }
}

async fn read_pieces<P: Ports>(
    line: &mut Line<'_, P>,
    message: &MessageRef,
    (manifest, cipher): (&FileManifest, &PieceCipher),
    part: &mut File,
    indices: std::ops::Range<u32>,
    shown: Shown<'_>,
) -> Result<(), FileFailure> {
    let of = pieces_of(manifest.size_bytes);
    let MessageRef { connection_id, message_id } = *message;
    for index in indices {
        shown(Progress::Downloading { pieces: index, of });
        let asked = PieceRef { connection_id, message_id, index };
        let sealed = patiently::<FilePieceGet, P>(line, &asked).await?.bytes;
        let expected = usize::try_from(index).ok().and_then(|index| manifest.pieces.get(index));
        if expected != Some(&piece_hash(sealed.as_bytes())) {
            return Err(FileFailure::Damaged);
        }
        let content = cipher.open(index, index + 1 == of, sealed.as_bytes()).map_err(|_| FileFailure::Damaged)?;
        if Some(content.expose().len()) != content_of_piece(manifest.size_bytes, index) {
            return Err(FileFailure::Damaged);
        }
        part.write_all(content.expose())?;
        shown(Progress::Downloading { pieces: index + 1, of });
    }
    Ok(())
}

/// Asks beside the log of commands: the same piece may be asked for or handed over twice. A vault that cannot now is asked again.
async fn patiently<R: EventRow, P: Ports>(
    line: &mut Line<'_, P>,
    request: &R::Request,
) -> Result<R::Reply, CommandError> {
    let mut tries = 0;
    loop {
        match line.ask_aside::<R>(request).await {
            Err(CommandError::Refused { code: RefusalCode::RateLimited | RefusalCode::Unavailable, .. })
                if tries < TRIES =>
            {
                tries += 1;
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            outcome => return outcome,
        }
    }
}

/// Size and hash of a content from its beginning on.
fn hash(content: &mut (impl Read + Seek), shown: Shown<'_>) -> Result<(u64, Digest), FileFailure> {
    let of = content.seek(SeekFrom::End(0))?;
    if of > MAX_FILE_BYTES {
        return Err(FileFailure::TooLarge);
    }
    content.seek(SeekFrom::Start(0))?;
    let (mut whole, mut bytes, mut buffer) = (RunningHash::default(), 0, vec![0; PIECE_BYTES]);
    loop {
        let read = content.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        whole.update(buffer.get(..read).unwrap_or_default());
        bytes += read as u64;
        if bytes > MAX_FILE_BYTES {
            return Err(FileFailure::TooLarge);
        }
        shown(Progress::Reading { bytes, of });
    }
    Ok((bytes, Digest::from_bytes(whole.finish())))
}

fn changed(error: io::Error) -> FileFailure {
    if error.kind() == io::ErrorKind::UnexpectedEof { FileFailure::Changed } else { error.into() }
}
