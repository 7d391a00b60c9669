//! How a thread of the engine shares a core with those who serve.

/// From here on this thread, when it has waited and could go on, lets whoever runs finish first. A commit that ends
/// while hits are being read otherwise takes the core from them to write the few that are there already; so the next
/// commit is shared by more, and every one costs a dozen writes and an fsync. The thread's share of the core stays what
/// it was. Without the right to it, or elsewhere than on Linux, all stays as it is.
pub(super) fn let_others_finish() {
    #[cfg(target_os = "linux")]
    {
        let param = libc::sched_param { sched_priority: 0 };
        // SAFETY: reads `param`, which lives until the call returns; 0 means the thread that calls.
        #[expect(unsafe_code, reason = "no safe wrapper of this call is kept; it takes one plain value")]
        let code = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const param) };
        if code != 0 {
            tracing::debug!(error = %std::io::Error::last_os_error(), "commits may be smaller than they could be");
        }
    }
}
