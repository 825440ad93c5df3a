/* SPDX-License-Identifier: ISC */
/*
 * Messages that are kept, but whose sender may not have heard the 250: its connection broke, or a process of ours
 * died. Such a sender sends again, rightly; that second time is answered, and not delivered twice.
 * One that was surely answered is not remembered: who sends the same twice gets it twice.
 */
#pragma once

#include "smtpd/record.h"

struct unanswered;

struct unanswered *unanswered_new(void);
void unanswered_free(struct unanswered *);

/* This one may not have been answered. */
void unanswered_add(struct unanswered *, const char fingerprint[FINGERPRINT_SIZE], struct str trace);
/* This one's answer was given to the front, which may die before it passes it on. */
void unanswered_told(struct unanswered *, unsigned front, const char fingerprint[FINGERPRINT_SIZE],
    struct str trace);
void unanswered_front_lost(struct unanswered *, unsigned front);
/* Has the same been kept unanswered? Its trace then into *trace (ID_LENGTH octets); it is forgotten. */
must_check bool unanswered_take(struct unanswered *, const char fingerprint[FINGERPRINT_SIZE],
    struct buf *trace);
