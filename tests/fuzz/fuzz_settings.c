/* SPDX-License-Identifier: ISC */
/* A configuration of any bytes: read or refused with a reason; what is printed is read again. */
#include <stdlib.h>

#include "common/daemon/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	scoped_buf values = BUF_INIT;
	char *why = NULL;
	struct settings *settings = settings_parse("/etc/trivet/trivet.conf", text, &why);

	if (settings == NULL && why == NULL)
		fatal("refused without a reason");
	if (settings != NULL)
		settings_put_values(&values, settings, false);
	settings_free(settings);
	free(why);
	return 0;
}
