/* SPDX-License-Identifier: ISC */
/* trivet settings: what trivet.conf says, may say, and whether it is right. */
#include <stdio.h>

#include "ctl/ctl.h"

static int
print(const struct buf *text)
{
	fwrite(text->p, 1, text->n, stdout);
	return CTL_OK;
}

int
cmd_settings(struct ctl *ctl)
{
	struct ctl_option options[] = {
		{ .name = "values" }, { .name = "check" }, { .name = "sample" },
		{ .name = "manual" },
	};
	scoped_buf out = BUF_INIT;

	if (!ctl_take_options(ctl, options, countof(options), 0, 0))
		return CTL_USAGE;
	if (options[2].given) {
		settings_put_sample(&out);
		return print(&out);
	}
	if (options[3].given) {
		settings_put_manual(&out);
		return print(&out);
	}
	if (!ctl_read_settings(ctl))
		return CTL_FAILED;
	if (options[1].given) {
		printf("%s is good.\n", ctl->settings->config_path);
		return CTL_OK;
	}
	settings_put_values(&out, ctl->settings, ctl->json);
	return print(&out);
}
