CREATE TABLE `remote_keys` (
	`user_id` text PRIMARY KEY NOT NULL,
	`json` text NOT NULL
);
