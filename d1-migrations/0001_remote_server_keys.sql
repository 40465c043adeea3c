CREATE TABLE `remote_server_keys` (
	`server_name` text NOT NULL,
	`key_id` text NOT NULL,
	`public_key` text NOT NULL,
	`valid_until_ts` integer NOT NULL,
	`expired` integer NOT NULL,
	`fetched_at` integer NOT NULL,
	`response` text,
	PRIMARY KEY(`server_name`, `key_id`)
);
