#include "maildir/store.h"
struct search*search_new(struct mailbox*m,const struct search_key*k);struct search*search_new(struct mailbox*m,const struct search_key*k){(void)m;(void)k;return (void*)1;}
enum store_result search_step(struct search*s,struct buf*f,bool*d){(void)s;(void)f;*d=true;return STORE_OK;} void search_free(struct search*s){(void)s;}
