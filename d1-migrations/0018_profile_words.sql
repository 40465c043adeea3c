CREATE TABLE `profile_words` (
	`word` text NOT NULL,
	`user_id` text NOT NULL,
	PRIMARY KEY(`word`, `user_id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `profile_words_by_user` ON `profile_words` (`user_id`);
--> statement-breakpoint
WITH RECURSIVE names(user_id, name) AS (
	SELECT user_id, lower(substr(user_id, 2, instr(user_id, ':') - 2) || ' ' || coalesce(CASE WHEN json_valid(fields) THEN json_extract(fields, '$.displayname') END, '')) FROM profiles
), parts(user_id, word, rest) AS (
	SELECT user_id, '', replace(replace(replace(replace(replace(name, '-', ' '), '.', ' '), '_', ' '), '=', ' '), '/', ' ') || ' ' FROM names
	UNION ALL
	SELECT user_id, substr(rest, 1, instr(rest, ' ') - 1), substr(rest, instr(rest, ' ') + 1) FROM parts WHERE rest <> ''
)
INSERT OR IGNORE INTO `profile_words`(word, user_id) SELECT word, user_id FROM parts WHERE word <> '';
