//! Samples of files and their pieces.

use crate::sample::Samples;
use crate::value;
use vettid_wire::file::{
    AskPiece, BeginFile, FileBegun, FileGone, FileKey, FileList, FileManifest, FilePiece, FileProblem, FileReceived,
    FileState, FileSummary, FileView, ListFiles, PieceBytes, PieceRef, UploadRef, UploadStatus,
};
use vettid_wire::id::FileId;
use vettid_wire::messaging::Direction;

pub(crate) fn id() -> FileId {
    FileId::from_bytes([0x5f; 16])
}

pub(crate) fn manifest() -> FileManifest {
    FileManifest {
        file_id: id(),
        name: "holiday.jpg".to_owned(),
        media_type: "image/jpeg".to_owned(),
        size_bytes: 600_000,
        sha256: value::digest(),
        key: key(),
        pieces: vec![value::digest(), value::previous_digest()],
    }
}

pub(crate) fn summary() -> FileSummary {
    manifest().summary()
}

fn key() -> FileKey {
    FileKey::from_bytes([0x6b; 32])
}

fn view() -> FileView {
    FileView {
        message_id: value::message(),
        direction: Direction::Received,
        file: summary(),
        state: FileState::OnItsWay,
        pieces_there: 1,
        pieces: 2,
        problem: Some(FileProblem::NoRoom),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("file");
    let (connection_id, message_id, file_id) = (value::connection(), value::message(), id());
    samples.text("FileKey", key());
    samples.object("FileManifest", manifest());
    samples.object("FileSummary", summary());
    let FileManifest { name, media_type, size_bytes, sha256, key, .. } = manifest();
    samples.object("BeginFile", BeginFile { connection_id, name, media_type, size_bytes, sha256, key: key.clone() });
    samples.object("FileBegun", FileBegun { file_id, key });
    samples.object("UploadRef", UploadRef { file_id });
    samples.object("UploadStatus", UploadStatus { missing: vec![1] });
    samples.object("FilePiece", FilePiece { file_id, index: 1, bytes: value::bytes(24) });
    samples.object("PieceRef", PieceRef { connection_id, message_id, index: 1 });
    samples.object("PieceBytes", PieceBytes { bytes: value::bytes(24) });
    samples.object("AskPiece", AskPiece { file_id, index: 1 });
    samples.object("FileGone", FileGone { file_id });
    samples.object("FileReceived", FileReceived { file_id });
    samples.object("ListFiles", ListFiles { connection_id });
    samples.object("FileList", FileList { files: vec![view()] });
    samples.object("FileView", view()).optional(&["/problem"]);
    samples.cases("FileState", [FileState::Waiting, FileState::OnItsWay, FileState::Here, FileState::Failed]);
    samples.cases("FileProblem", [FileProblem::NoRoom, FileProblem::Gone, FileProblem::Ended, FileProblem::Expired]);
    samples
}
