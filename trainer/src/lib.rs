//! Training, evaluation and publishing, as a library so that tests can call it.
