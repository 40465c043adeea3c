CREATE TABLE `retention_round` (
	`id` integer PRIMARY KEY NOT NULL,
	`rules` text NOT NULL,
	`after` text
);
