// Package failpoint names the moments in the life of one lead at which a crash must do no harm, and lets the proof of that
// happen there. In a release build every function here is empty and leaves nothing in the binary; a build with the tag
// `torture` kills its own process at the moment that $LEADSTREAM_FAILPOINT names ("journal.synced@3": at its third time),
// or behaves as the seeded bug that $LEADSTREAM_BUG names, so that the harness can show that it would find it. It writes
// the moments that it reaches to the file that $LEADSTREAM_REACHED names, and shortens the waits of $LEADSTREAM_HURRY
// ("tidy-age=1s,reconcile-after=200ms").
package failpoint

// Point is a moment: "journal.synced". Its first half is the part of the program, its second half what has just happened.
type Point string

// Bug is a mistake that a good programmer could have made: "answer-before-sync".
type Bug string

// Wait is a time that passes between two moments, far longer than a proof can take.
type Wait string
