CREATE TABLE `rendezvous` (
	`id` text PRIMARY KEY NOT NULL,
	`protocol` text NOT NULL,
	`data` text NOT NULL,
	`token` text NOT NULL,
	`previous_token` text,
	`changed_at` integer NOT NULL,
	`expires_at` integer NOT NULL
);
